package isthmus.contract;

import static isthmus.contract.OpCase.Use.ACTIVATION;
import static isthmus.contract.OpCase.Use.BYTES;
import static isthmus.contract.OpCase.Use.FROZEN;
import static isthmus.contract.OpCase.Use.LABEL;
import static isthmus.contract.OpCase.Use.STATISTIC;
import static isthmus.contract.OpCase.Use.TARGET;
import static isthmus.contract.OpCase.Use.WEIGHT;

import isthmus.op.Activation;
import isthmus.op.Add;
import isthmus.op.AvgPool;
import isthmus.op.BceWithLogits;
import isthmus.op.Cast;
import isthmus.op.ChannelStatistics;
import isthmus.op.Concat;
import isthmus.op.Conv;
import isthmus.op.CrossEntropy;
import isthmus.op.DetectionLoss;
import isthmus.op.DiceCrossEntropy;
import isthmus.op.Dropout;
import isthmus.op.Flatten;
import isthmus.op.Focal;
import isthmus.op.GlobalAvgPool;
import isthmus.op.GroupNorm;
import isthmus.op.Kind;
import isthmus.op.Linear;
import isthmus.op.MapLayout;
import isthmus.op.MaxPool;
import isthmus.op.Multiply;
import isthmus.op.Normalize;
import isthmus.op.Op;
import isthmus.op.Relu;
import isthmus.op.Scale;
import isthmus.op.Sigmoid;
import isthmus.op.Silu;
import isthmus.op.SmoothL1;
import isthmus.op.StochasticDepth;
import isthmus.op.UpdateStatistics;
import isthmus.op.Upsample;
import isthmus.op.Value;
import isthmus.op.WarpAffine;
import isthmus.op.Window;
import isthmus.tensor.ChannelsLast;
import isthmus.tensor.DType;
import isthmus.tensor.RawPicture;
import isthmus.tensor.Shape;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;

/** Cases of every op: tiny ones for finite differences, awkward ones for fast kernels. */
final class OpTable {
    private OpTable() {}

    static List<OpCase> tiny() {
        List<OpCase> all = new ArrayList<>();
        all.add(conv("conv", Window.of(2, 3, 1, 1), 1, true, 2, 4, 2, 4, 5));
        all.add(conv("conv stride 2, no bias", Window.of(2, 3, 2, 1), 1, false, 2, 3, 2, 5, 4));
        all.add(conv("conv 1x1 stride 2", Window.of(2, 1, 2, 0), 1, false, 2, 3, 2, 5, 4));
        all.add(conv("conv dilated", Window.of(2, 3, 1, 2).dilated(2), 1, true, 1, 2, 2, 5, 5));
        all.add(conv("conv grouped", Window.of(2, 3, 1, 1), 2, true, 2, 4, 4, 3, 3));
        all.add(conv("conv depthwise", Window.of(2, 3, 1, 1), 3, false, 2, 3, 3, 4, 3));
        all.add(new OpCase("linear").arg("x", ACTIVATION, 3, 5).arg("weight", WEIGHT, 4, 5).arg("bias", WEIGHT, 4)
                .op(new Linear(true, false)));
        all.add(new OpCase("linear, logits").arg("x", ACTIVATION, 3, 5).arg("weight", WEIGHT, 2, 5)
                .arg("bias", WEIGHT, 2).op(new Linear(true, true)));
        for (boolean logits : new boolean[]{false, true})
            all.add(new OpCase("linear and ReLU" + (logits ? ", float32" : "")).arg("x", ACTIVATION, 3, 5)
                    .arg("weight", WEIGHT, 4, 5).arg("bias", WEIGHT, 4)
                    .build((g, in) -> g.apply("relu", new Relu(), g.apply("linear", new Linear(true, logits),
                            in.values().toArray(Value[]::new)).getFirst()).getFirst()));
        all.add(new OpCase("linear, no bias").arg("x", ACTIVATION, 3, 5).arg("weight", WEIGHT, 4, 5)
                .op(new Linear(false, false)));
        all.add(new OpCase("add of two weights, one gradient for both").arg("a", WEIGHT, 3, 4).arg("b", WEIGHT, 3, 4)
                .op(new Add()));
        all.add(new OpCase("concat of one number a channel").arg("a", WEIGHT, 3).arg("b", WEIGHT, 5).op(new Concat()));
        all.add(warp("warp_affine", 2, 4, 3, 1));
        all.add(normalizedConv("", 1, 2, 2, 3, 5, 4));
        all.add(normalizedConv("", 3, 4, 2, 3, 5, 4));
        addCommon(all, "", 2, 3, 5, 4);
        losses(all);
        return all;
    }

    static List<OpCase> awkward() {
        List<OpCase> all = new ArrayList<>(tiny());
        addConvolutions(all);
        for (int kernel : new int[]{1, 3}) {
            all.add(normalizedConv(" of 64 channels", kernel, 96, 3, 64, 7, 5));
            all.add(normalizedConv(" of 160 channels", kernel, 32, 2, 160, 6, 8));
        }
        addLinear(all);
        maps(all, 2, 14, 5, 7, 31);
        maps(all, 1, 2, 1, 1, 1);
        all.add(new OpCase("smooth_l1 of many, no quadratic part").arg("x", WEIGHT, 19, 1031)
                .arg("target", TARGET, Shape.of(19, 1031), OpCase.grid("smooth_l1 of many", 19 * 1031))
                .op(new SmoothL1(0)));
        MapLayout volume = new MapLayout(List.of(List.of(7, 5, 6), List.of(4, 3, 3), List.of(2, 2, 2)), 3, 2);
        all.add(detection("detection_loss of drawn samples", volume, 2, 40, new DetectionLoss.Sampling(16, 0.3, 4, 5),
                IntStream.iterate(3, i -> i < volume.total(), i -> i + 23).limit(70).toArray()));
        all.add(warp("warp_affine of three colours", 3, 23, 19, 3));
        all.add(warp("warp_affine of wide rows", 2, 90, 131, 1));
        all.add(warp("warp_affine of one pixel", 1, 1, 2, 2));
        addCommon(all, " 33 channels", 3, 33, 7, 9);
        addCommon(all, " 64 channels", 2, 64, 8, 8);
        addCommon(all, " 1 channel", 2, 1, 6, 5);
        return all;
    }

    private static void addConvolutions(List<OpCase> all) {
        all.add(conv("conv 17 -> 33 channels", Window.of(2, 3, 1, 1), 1, true, 3, 33, 17, 9, 7));
        all.add(conv("conv of one grey channel", Window.of(2, 7, 2, 3), 1, false, 2, 16, 1, 15, 13));
        all.add(conv("conv of three colours", Window.of(2, 7, 2, 3), 1, false, 1, 64, 3, 16, 17));
        all.add(conv("conv 64 -> 64", Window.of(2, 3, 1, 1), 1, false, 2, 64, 64, 7, 7));
        all.add(conv("conv 32 -> 96, odd", Window.of(2, 3, 1, 1), 1, true, 2, 96, 32, 9, 6));
        all.add(conv("conv 64 -> 32, padded by two", Window.of(2, 3, 1, 2), 1, true, 3, 32, 64, 5, 11));
        all.add(conv("conv 96 -> 32, no padding", Window.of(2, 3, 1, 0), 1, false, 1, 32, 96, 8, 10));
        all.add(new OpCase("conv of a volume 32 -> 64").arg("x", ACTIVATION, 1, 32, 5, 6, 8)
                .arg("weight", WEIGHT, 64, 32, 3, 3, 3).op(new Conv(Window.of(3, 3, 1, 1), 1, false)));
        all.add(new OpCase("conv 1x1x1 of a volume 32 -> 14").arg("x", ACTIVATION, 2, 32, 3, 6, 5)
                .arg("weight", WEIGHT, 14, 32, 1, 1, 1).arg("bias", WEIGHT, 14)
                .op(new Conv(Window.of(3, 1, 1, 0), 1, true)));
        all.add(conv("conv 1x1, 160 -> 75", Window.of(2, 1, 1, 0), 1, true, 3, 75, 160, 9, 7));
        all.add(conv("conv 1x1, 192 -> 70", Window.of(2, 1, 1, 0), 1, false, 2, 70, 192, 10, 9));
        all.add(conv("conv 1x1 stride 2, 64 -> 128", Window.of(2, 1, 2, 0), 1, false, 2, 128, 64, 7, 7));
        all.add(conv("conv on one pixel", Window.of(2, 3, 1, 1), 1, true, 1, 5, 6, 1, 1));
        all.add(conv("conv 5x3", new Window(List.of(5, 3), List.of(1, 2), List.of(2, 0), List.of(1, 1)), 1, true, 2, 8,
                8, 6, 9));
        all.add(conv("conv grouped, 16 a group", Window.of(2, 3, 2, 1), 2, true, 2, 32, 32, 6, 5));
        for (int kernel : new int[]{3, 5})
            for (int stride : new int[]{1, 2})
                all.add(conv("conv depthwise " + kernel + ", stride " + stride,
                        Window.of(2, kernel, stride, kernel / 2),
                        33, stride == 1, 2, 33, 33, 9, 7));
    }

    private static void addLinear(List<OpCase> all) {
        all.add(new OpCase("linear 513 -> 7").arg("x", ACTIVATION, 5, 513).arg("weight", WEIGHT, 7, 513)
                .arg("bias", WEIGHT, 7).op(new Linear(true, false)));
        all.add(new OpCase("linear of low rank, down").arg("x", ACTIVATION, 17, 513).arg("weight", WEIGHT, 4, 513)
                .op(new Linear(false, false)));
        all.add(new OpCase("linear of low rank, up").arg("x", ACTIVATION, 17, 4).arg("weight", WEIGHT, 129, 4)
                .op(new Linear(false, false)));
        all.add(new OpCase("linear of low rank, up to logits").arg("x", ACTIVATION, 17, 4).arg("weight", WEIGHT, 3, 4)
                .op(new Linear(false, true)));
        all.add(new OpCase("linear of one").arg("x", ACTIVATION, 1, 33).arg("weight", WEIGHT, 1, 33)
                .arg("bias", WEIGHT, 1).op(new Linear(true, true)));
    }

    private static OpCase conv(String name, Window window, int groups, boolean bias, int n, int out, int in, int h,
            int w) {
        OpCase c = new OpCase(name).arg("x", ACTIVATION, n, in, h, w).arg("weight", WEIGHT, out, in / groups,
                window.kernel().get(0), window.kernel().get(1));
        if (bias) c.arg("bias", WEIGHT, out);
        return c.op(new Conv(window, groups, bias));
    }

    private static void addCommon(List<OpCase> all, String suffix, int... x) {
        all.add(new OpCase("relu" + suffix).arg("x", ACTIVATION, x).op(new Relu()));
        all.add(new OpCase("multiply" + suffix).arg("x", ACTIVATION, x).op(new Multiply(-1.75f)));
        all.add(new OpCase("silu" + suffix).arg("x", ACTIVATION, x).op(new Silu()));
        all.add(new OpCase("sigmoid" + suffix).arg("x", ACTIVATION, x).op(new Sigmoid()));
        all.add(new OpCase("scale" + suffix).arg("x", ACTIVATION, x).arg("s", ACTIVATION, x[0], x[1], 1, 1)
                .op(new Scale()));
        all.add(new OpCase("concat of one" + suffix).arg("x", ACTIVATION, x).op(new Concat()));
        all.add(new OpCase("concat of three" + suffix).arg("a", ACTIVATION, x)
                .arg("b", ACTIVATION, x[0], x[1] + 2, x[2], x[3]).arg("c", ACTIVATION, x[0], 1, x[2], x[3])
                .op(new Concat()));
        all.add(new OpCase("concat with itself" + suffix).arg("x", ACTIVATION, x)
                .build((g, in) -> g.apply("concat", new Concat(), in.get("x"), in.get("x")).getFirst()));
        all.add(new OpCase("stochastic_depth" + suffix).arg("x", ACTIVATION, x).op(new StochasticDepth(0.4f, 3)));
        all.add(new OpCase("add" + suffix).arg("a", ACTIVATION, x).arg("b", ACTIVATION, x).op(new Add()));
        all.add(new OpCase("add to itself" + suffix).arg("x", ACTIVATION, x)
                .build((g, in) -> g.apply("add", new Add(), in.get("x"), in.get("x")).getFirst()));
        addResampling(all, suffix, x);
        addNorms(all, suffix, x);
        all.add(new OpCase("flatten" + suffix).arg("x", ACTIVATION, x).op(new Flatten()));
        all.add(new OpCase("flatten one position" + suffix).arg("x", ACTIVATION, x[0], x[1], 1, 1).op(new Flatten()));
        all.add(new OpCase("dropout" + suffix).arg("x", ACTIVATION, x[0], x[1] * x[2]).op(new Dropout(0.3f, 5)));
        all.add(new OpCase("dropout, four axes" + suffix).arg("x", ACTIVATION, x).op(new Dropout(0.5f, 1)));
    }

    private static void addResampling(List<OpCase> all, String suffix, int... x) {
        all.add(new OpCase("max_pool" + suffix).arg("x", ACTIVATION, x).op(new MaxPool(Window.of(2, 2, 2, 0))));
        all.add(new OpCase("max_pool 3x3 stride 2" + suffix).arg("x", ACTIVATION, x)
                .op(new MaxPool(Window.of(2, 3, 2, 1))));
        all.add(new OpCase("avg_pool" + suffix).arg("x", ACTIVATION, x).op(new AvgPool(Window.of(2, 2, 2, 0))));
        all.add(new OpCase("avg_pool 3x3 stride 2, padded" + suffix).arg("x", ACTIVATION, x)
                .op(new AvgPool(Window.of(2, 3, 2, 1))));
        all.add(new OpCase("global_avg_pool" + suffix).arg("x", ACTIVATION, x).op(new GlobalAvgPool()));
        for (Upsample.Mode mode : Upsample.Mode.values()) {
            String name = "upsample " + mode.name().toLowerCase(Locale.ROOT);
            all.add(new OpCase(name + " by 2" + suffix).arg("x", ACTIVATION, x)
                    .op(new Upsample(List.of(2 * x[2], 2 * x[3]), mode)));
            all.add(new OpCase(name + " by odd ratios" + suffix).arg("x", ACTIVATION, x)
                    .op(new Upsample(List.of(2 * x[2] + 1, x[3]), mode)));
            all.add(new OpCase(name + " of a volume" + suffix).arg("x", ACTIVATION, 1, x[1], 2, 3, 4)
                    .op(new Upsample(List.of(4, 9, 7), mode)));
        }
    }

    private static void addNorms(List<OpCase> all, String suffix, int... x) {
        for (Activation a : Activation.values()) {
            for (boolean residual : a == Activation.SILU ? new boolean[]{false} : new boolean[]{false, true}) {
                all.addAll(List.of(batchNorm(suffix, residual, false, a, x), batchNorm(suffix, residual, true, a, x),
                        frozenBatchNorm(suffix, residual, a, x)));
                if (!residual) all.add(gated(suffix, a, x));
                for (int groups : IntStream.rangeClosed(1, x[1]).filter(g -> x[1] % g == 0).toArray())
                    all.addAll(List.of(groupNorm(suffix, groups, residual, false, a, x),
                            groupNorm(suffix, groups, residual, true, a, x)));
            }
        }
    }

    private static OpCase groupNorm(String suffix, int groups, boolean residual, boolean around, Activation activation,
            int... x) {
        String name = "group_norm of " + groups + (residual ? " + residual" : "") + activation.suffix()
                + (around ? " with a bypass" : "") + suffix;
        OpCase c = new OpCase(name).arg("x", ACTIVATION, x).arg("gamma", WEIGHT, x[1]).arg("beta", WEIGHT, x[1]);
        if (residual) c.arg("residual", ACTIVATION, x);
        return c.build((g, in) -> {
            Value y = g.apply(name, new GroupNorm(groups, 1e-5f, residual, activation),
                    in.values().toArray(Value[]::new)).getFirst();
            return around ? g.apply(name, new Concat(), y, in.get("x")).getFirst() : y;
        });
    }

    /** {@code around}: x is read by something else as well, whose gradient the backward pass adds. */
    private static OpCase batchNorm(String suffix, boolean residual, boolean around, Activation activation, int... x) {
        String name = "batch_norm" + (residual ? " + residual" : "") + activation.suffix()
                + (around ? " with a bypass" : "") + suffix;
        OpCase c = new OpCase(name).arg("x", ACTIVATION, x).arg("gamma", WEIGHT, x[1]).arg("beta", WEIGHT, x[1])
                .arg("running_mean", STATISTIC, x[1]).arg("running_var", STATISTIC, x[1]);
        if (residual) c.arg("residual", ACTIVATION, x);
        int count = Arrays.stream(x).reduce(1, (a, b) -> a * b) / x[1];
        return c.build((g, in) -> {
            List<Value> s = g.apply(name, new ChannelStatistics(), in.get("x"));
            g.apply(name, new UpdateStatistics(0.1f, count), s.get(0), s.get(1), in.get("running_mean"),
                    in.get("running_var"));
            List<Value> arguments = new ArrayList<>(
                    List.of(in.get("x"), s.get(0), s.get(1), in.get("gamma"), in.get("beta")));
            if (residual) arguments.add(in.get("residual"));
            Value y = g.apply(name, new Normalize(1e-5f, residual, activation), arguments.toArray(Value[]::new))
                    .getFirst();
            return around ? g.apply(name, new Concat(), y, in.get("x")).getFirst() : y;
        });
    }

    /** Of which x is read by something else as well, whose gradient is added on the way. */
    private static OpCase normalizedConv(String suffix, int kernel, int k, int... x) {
        String name = "norm and ReLU, conv " + kernel + suffix;
        OpCase c = new OpCase(name).arg("x", ACTIVATION, x).arg("gamma", WEIGHT, x[1]).arg("beta", WEIGHT, x[1])
                .arg("weight", WEIGHT, k, x[1], kernel, kernel);
        return c.build((g, in) -> {
            List<Value> s = g.apply(name, new ChannelStatistics(), in.get("x"));
            Value a = g.apply(name, new Normalize(1e-5f, false, Activation.RELU), in.get("x"), s.get(0), s.get(1),
                    in.get("gamma"), in.get("beta")).getFirst();
            Conv conv = new Conv(Window.of(2, kernel, 1, kernel / 2), 1, false);
            Value y = g.apply(name, conv, a, in.get("weight")).getFirst();
            return g.apply(name, new Concat(), in.get("x"), y).getFirst();
        });
    }

    /** Squeeze-and-excitation without its own layers: the means are the factors. */
    private static OpCase gated(String suffix, Activation activation, int... x) {
        String name = "squeeze-and-excitation" + activation.suffix() + suffix;
        return new OpCase(name).arg("x", ACTIVATION, x).arg("gamma", WEIGHT, x[1]).arg("beta", WEIGHT, x[1])
                .build((g, in) -> {
                    List<Value> s = g.apply(name, new ChannelStatistics(), in.get("x"));
                    Value a = g.apply(name, new Normalize(1e-5f, false, activation), in.get("x"), s.get(0), s.get(1),
                            in.get("gamma"), in.get("beta")).getFirst();
                    Value p = g.apply(name, new GlobalAvgPool(), a).getFirst();
                    return g.apply(name, new Scale(), a, g.apply(name, new Sigmoid(), p).getFirst()).getFirst();
                });
    }

    private static OpCase frozenBatchNorm(String suffix, boolean residual, Activation activation, int... x) {
        float[] variance = OpCase.grid("variance" + suffix, x[1]);
        for (int i = 0; i < variance.length; i++)
            variance[i] += 1.25f;
        String name = "frozen batch_norm" + (residual ? " + residual" : "") + activation.suffix() + suffix;
        OpCase c = new OpCase(name).arg("x", ACTIVATION, x).arg("mean", FROZEN, x[1])
                .arg("variance", FROZEN, Shape.of(x[1]), variance).arg("gamma", FROZEN, x[1]).arg("beta", FROZEN, x[1]);
        if (residual) c.arg("residual", ACTIVATION, x);
        return c.op(new Normalize(1e-5f, residual, activation));
    }

    /** Squares of noise, each turned by its own angle, the second mirrored; a weight is added, for there to be a gradient. */
    private static OpCase warp(String name, int n, int side, int size, int channels) {
        RawPicture raw = new RawPicture(side);
        MemorySegment at = Arena.ofAuto().allocate((long) n * raw.bytes(), 16);
        for (long i = 0; i < at.byteSize(); i++)
            at.set(ValueLayout.JAVA_BYTE, i, (byte) ((i * i * 37) >> 3));
        for (int i = 0; i < n; i++) {
            long from = (long) i * raw.bytes();
            long cos = (long) (Math.cos(i + 0.2) * (1L << RawPicture.FRACTION));
            long sin = (long) (Math.sin(i + 0.2) * (1L << RawPicture.FRACTION));
            long corner = (long) (side * 0.3 * (1L << RawPicture.FRACTION));
            RawPicture.place(at, from, corner, -corner / 7, i == 1 ? -cos : cos, sin, -sin, cos);
            for (int tone = 0; tone < 256; tone++)
                at.set(ValueLayout.JAVA_FLOAT, from + RawPicture.TONES + (long) tone * Float.BYTES,
                        (float) Math.pow(tone / 255.0, i + 0.5));
        }
        float[] bytes = ChannelsLast.unpack(at, Shape.of((int) at.byteSize()), DType.U8);
        WarpAffine op = new WarpAffine(raw, size, List.of(0.4f, 0.5f, 0.6f).subList(0, channels),
                List.of(4f, 3f, 5f).subList(0, channels));
        return new OpCase(name).arg("x", BYTES, Shape.of(n, raw.bytes()), bytes)
                .arg("weight", ACTIVATION, n, channels, size, size).build((g, in) -> g.apply(name, new Add(),
                        g.apply(name, op, in.get("x")).getFirst(), in.get("weight")).getFirst());
    }

    /** Logits at positions: channels-last as activations are, and float32 as losses want them. */
    private static OpCase map(String name, Op loss, Shape logits, Shape labels, float... values) {
        return new OpCase(name).arg("logits", ACTIVATION, logits.dims()).arg("labels", LABEL, labels, values)
                .build((g, in) -> g.apply(name, loss,
                        g.apply(name, new Cast(Kind.FLOAT), in.get("logits")).getFirst(), in.get("labels"))
                        .getFirst());
    }

    /** Class labels from 0 on, every seventh unknown. */
    private static float[] classes(int n, int classes) {
        float[] labels = new float[n];
        for (int i = 0; i < n; i++)
            labels[i] = i % 7 == 6 ? -1 : i * 5 % 11 % classes;
        return labels;
    }

    private static void maps(List<OpCase> all, int n, int c, int d, int h, int w) {
        Shape x = Shape.of(n, c, d, h, w);
        Shape labels = Shape.of(n, d, h, w);
        float[] classes = classes(n * d * h * w, c);
        all.add(map("cross_entropy of a volume " + x, new CrossEntropy(), x, labels, classes));
        all.add(map("dice_ce of " + x, new DiceCrossEntropy(1e-5f, true), x, labels, classes));
        all.add(map("dice_ce without background of " + x, new DiceCrossEntropy(0.5f, false), x, labels, classes));
    }

    /** Rows of matched anchors (number, class, codes), then empty ones. */
    private static OpCase detection(String name, MapLayout layout, int batch, int capacity,
            DetectionLoss.Sampling sampling, int... anchors) {
        DetectionLoss loss = new DetectionLoss(layout, capacity, sampling, 0.11, 1.5, 0.5);
        float[] targets = new float[batch * capacity * loss.rowLength()];
        Arrays.fill(targets, -1);
        for (int i = 0; i < anchors.length; i++) {
            int at = (i % batch * capacity + i / batch) * loss.rowLength();
            targets[at] = anchors[i];
            targets[at + 1] = anchors[i] % layout.classes();
            for (int j = 2; j < loss.rowLength(); j++)
                targets[at + j] = (float) Math.sin(i + j);
        }
        return new OpCase(name).arg("maps", WEIGHT, batch, layout.length())
                .arg("targets", TARGET, Shape.of(batch, capacity * loss.rowLength()), targets).op(loss);
    }

    private static void detection(List<OpCase> all) {
        MapLayout small = new MapLayout(List.of(List.of(2, 2), List.of(1, 1)), 2, 2);
        all.add(detection("detection_loss", small, 2, 3, new DetectionLoss.Sampling(8, 0.5, 100, 1), 1, 9, 7));
        all.add(detection("detection_loss, nothing matched", small, 1, 3,
                new DetectionLoss.Sampling(8, 0.5, 100, 1)));
    }

    private static void losses(List<OpCase> all) {
        detection(all);
        maps(all, 2, 3, 2, 1, 3);
        all.add(new OpCase("smooth_l1").arg("x", WEIGHT, 3, 4)
                .arg("target", TARGET, Shape.of(3, 4), OpCase.grid("smooth_l1", 12)).op(new SmoothL1(0.7f)));
        all.add(new OpCase("cross_entropy").arg("logits", WEIGHT, 4, 3)
                .arg("labels", LABEL, Shape.of(4), 2, 0, 1, 2).op(new CrossEntropy()));
        all.add(new OpCase("bce_with_logits").arg("logits", WEIGHT, 3, 2)
                .arg("labels", TARGET, Shape.of(3, 2), 1, 0, 0, 1, 1, 1).op(new BceWithLogits(List.of())));
        all.add(new OpCase("bce_with_logits, unknown labels and weights").arg("logits", WEIGHT, 3, 2)
                .arg("labels", TARGET, Shape.of(3, 2), 1, -1, 0, 1, -1, 0)
                .op(new BceWithLogits(List.of(2.5f, 0.5f))));
        all.add(new OpCase("focal").arg("logits", WEIGHT, 3, 2).arg("labels", TARGET, Shape.of(3, 2), 1, 0, 0, 1, 1, 1)
                .op(new Focal(2, 1, List.of())));
        all.add(new OpCase("focal, unknown labels and weights").arg("logits", WEIGHT, 3, 2)
                .arg("labels", TARGET, Shape.of(3, 2), 1, -1, 0, 1, -1, 0)
                .op(new Focal(1.5, 0.25, List.of(2.5f, 0.5f))));
        all.add(new OpCase("focal, no label known").arg("logits", WEIGHT, 2, 2)
                .arg("labels", TARGET, Shape.of(2, 2), -1, -1, -1, -1).op(new Focal(2, 1, List.of())));
        all.add(new OpCase("bce_with_logits, no label known").arg("logits", WEIGHT, 2, 2)
                .arg("labels", TARGET, Shape.of(2, 2), -1, -1, -1, -1).op(new BceWithLogits(List.of())));
    }
}
