package isthmus.server;

import isthmus.client.LocalTrainer;
import isthmus.client.Progress;
import isthmus.client.RoundTask;
import isthmus.client.SiteResult;
import isthmus.tensor.WeightBuffer;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Map;
import java.util.concurrent.CountDownLatch;

/**
 * Stands in for training: moves every exchanged weight a fixed part of the way to a value that depends on site and
 * index. Its exact result is known, so the federation around it can be checked to the last bit.
 */
final class SimulatedTrainer implements LocalTrainer {
    static final float STEP = 0.25f;

    final int site;
    final long samples;
    volatile Runnable beforeTraining = () -> {};
    volatile RoundTask lastTask;

    SimulatedTrainer(int site, long samples) {
        this.site = site;
        this.samples = samples;
    }

    static float target(int site, long index) { return (float) Math.sin(site * 1.7 + index * 0.37) * (1 + site); }

    static float trained(float weight, int site, long index) { return weight + STEP * (target(site, index) - weight); }

    @Override
    public SiteResult train(WeightBuffer weights, RoundTask task, Progress progress) {
        beforeTraining.run();
        lastTask = task;
        MemorySegment w = weights.range(weights.table().exchanged());
        long n = w.byteSize() / Float.BYTES;
        for (long i = 0; i < n; i++)
            w.setAtIndex(ValueLayout.JAVA_FLOAT, i, trained(w.getAtIndex(ValueLayout.JAVA_FLOAT, i), site, i));
        progress.report(n, n, "");
        return new SiteResult(samples, Map.of("loss", 1.0 / task.round()));
    }

    /** The score falls with the distance to this site's own target, so it differs by site and round. */
    @Override
    public SiteResult validate(WeightBuffer weights, RoundTask task, Progress progress) {
        MemorySegment w = weights.range(weights.table().exchanged());
        long n = w.byteSize() / Float.BYTES;
        double sum = 0;
        for (long i = 0; i < n; i++)
            sum += Math.abs(w.getAtIndex(ValueLayout.JAVA_FLOAT, i) - target(site, i));
        return new SiteResult(10L * site, Map.of("score", 1 / (1 + sum / n)));
    }

    /** Holds training back until the latch opens. */
    SimulatedTrainer waitingFor(CountDownLatch latch) {
        beforeTraining = () -> {
            try {
                latch.await();
            } catch (InterruptedException e) {
                throw new IllegalStateException("closed while waiting", e);
            }
        };
        return this;
    }
}
