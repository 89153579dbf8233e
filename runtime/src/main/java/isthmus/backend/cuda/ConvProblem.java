package isthmus.backend.cuda;

import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR;
import static isthmus.bindings.cudnn.CudnnConstants.CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR;

import isthmus.op.Conv;
import isthmus.op.Node;
import isthmus.op.Value;
import isthmus.op.Window;
import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import java.util.List;
import java.util.function.Function;
import java.util.function.ToLongFunction;

/**
 * One convolution, forward or one of its derivatives, as cuDNN has it: x {@code [N,C,...]}, w {@code [O,C/G,...]},
 * y {@code [N,O,...]}, all channels-last, with the derivative in the place of what it is derived by.
 *
 * @param ldx how many elements x's rows, each one position's channels, are apart
 * @param ldy the same of y
 */
record ConvProblem(Direction direction, Window window, Shape x, Shape w, Shape y, DType type, DType result, long ldx,
        long ldy) {
    /** Of rows that lie close together. */
    ConvProblem(Direction direction, Window window, Shape x, Shape w, Shape y, DType type, DType result) {
        this(direction, window, x, w, y, type, result, x.dim(1), y.dim(1));
    }

    /** Which of the three is computed. */
    enum Direction {
        /** y. */
        FORWARD(CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
                CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y),
        /** dx. */
        DATA(CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY),
        /** dw. */
        WEIGHTS(CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY);

        final int kind;
        final int alpha;
        final int beta;
        final int convolution;
        final int x;
        final int w;
        final int y;

        Direction(int kind, int alpha, int beta, int convolution, int x, int w, int y) {
            this.kind = kind;
            this.alpha = alpha;
            this.beta = beta;
            this.convolution = convolution;
            this.x = x;
            this.w = w;
            this.y = y;
        }
    }

    /** What a convolution's node asks for, best first: not every engine of half precision writes float32. */
    static List<ConvProblem> of(Node n, Function<Value, DType> types, ToLongFunction<Value> strides) {
        DType type = types.apply(n.in(0));
        Value a = n.in(0);
        Value b = n.in(1);
        Value out = n.out(0);
        return switch (n.op()) {
            case Conv op ->
                List.of(new ConvProblem(Direction.FORWARD, op.window(), a.shape(), b.shape(), out.shape(), type,
                        type, strides.applyAsLong(a), strides.applyAsLong(out)));
            case Conv.BackwardData op ->
                List.of(new ConvProblem(Direction.DATA, op.window(), op.x(), b.shape(), a.shape(),
                        type, type, strides.applyAsLong(out), strides.applyAsLong(a)));
            case Conv.BackwardWeights op -> {
                ConvProblem exact = new ConvProblem(Direction.WEIGHTS, op.window(), a.shape(), op.weight(), b.shape(),
                        type, DType.F32, strides.applyAsLong(a), strides.applyAsLong(b));
                yield type == DType.F32 ? List.of(exact) : List.of(exact, exact.into(type));
            }
            default -> throw new IllegalArgumentException("no convolution: " + n.op().name());
        };
    }

    /** The same of rows that lie close together. */
    static List<ConvProblem> of(Node n, Function<Value, DType> types) {
        return of(n, types, v -> v.shape().dim(1));
    }

    /** Channels of x for each of w's: the number of groups. */
    int groups() { return x.dim(1) / w.dim(1); }

    /** The element type of w; results may differ from what they are computed from. */
    DType weightType() {
        return direction == Direction.WEIGHTS ? result : type;
    }

    /** The same with another type of result. */
    ConvProblem into(DType other) {
        return new ConvProblem(direction, window, x, w, y, type, other, ldx, ldy);
    }

    /** The same with rows of x and y that are so far apart. */
    ConvProblem apart(long distanceX, long distanceY) {
        return new ConvProblem(direction, window, x, w, y, type, result, distanceX, distanceY);
    }

    /** The same with rows that lie close together. */
    ConvProblem packed() { return apart(x.dim(1), y.dim(1)); }

    /** Whether they do. */
    boolean isPacked() { return equals(packed()); }

    /** Elements from the first to the last of x, both included. */
    long extentX() { return extent(x, ldx); }

    /** The same of y. */
    long extentY() { return extent(y, ldy); }

    private static long extent(Shape s, long apart) { return (s.elements() / s.dim(1) - 1) * apart + s.dim(1); }

    /** All that cuDNN's choice depends on, on one line. */
    String key() {
        return direction + " " + type + " " + result + " x" + x + " w" + w + " s" + window.stride() + " p"
                + window.padding() + " d" + window.dilation() + (isPacked() ? "" : " rows " + ldx + " " + ldy);
    }
}
