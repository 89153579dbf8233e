package isthmus.backend.cuda;

import static isthmus.backend.cuda.Elementwise.suffix;

import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import java.lang.foreign.MemorySegment;

/**
 * A convolution by one of cuDNN's plans. Weights become {@code [O,taps,I]} in the compute type before, and their gradients
 * come back from there after. Owns the plan, which may have other candidates that are engines, too.
 */
record CudnnConv(Device device, ConvPlan plan, ConvPlan.Candidate candidate) implements ConvEngine {
    private static final long ALIGNMENT = 256;

    @Override
    public String name() {
        DType result = problem().weightType();
        return "cudnn " + candidate.name() + (result == problem().type() ? "" : " into " + result);
    }

    @Override
    public long scratch() { return ALIGNMENT + weightBytes() + candidate.workspace(); }

    private ConvProblem problem() { return plan.problem(); }

    private long weightBytes() { return up(problem().w().elements() * problem().weightType().bytes()); }

    private static long up(long bytes) { return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

    @Override
    public void bind(Launches to, MemorySegment x, MemorySegment w, MemorySegment y, MemorySegment scratch) {
        MemorySegment compute = MemorySegment.ofAddress(up(scratch.address()));
        Shape s = problem().w();
        Grid grid = Grid.over(s.elements(), device);
        boolean gradient = problem().direction() == ConvProblem.Direction.WEIGHTS;
        if (!gradient)
            to.add("channels_last", "_f32" + suffix(problem().weightType()), grid, w, compute, (long) s.dim(0),
                    s.elementsFrom(2), (long) s.dim(1));
        MemorySegment pack = plan.pack(x.address(), compute.address(), y.address(),
                candidate.workspace() == 0 ? 0 : compute.address() + weightBytes());
        to.add(() -> plan.run(candidate, pack));
        if (gradient)
            to.add("channels_first", suffix(problem().weightType()) + "_f32", grid, compute, w, (long) s.dim(0),
                    s.elementsFrom(2), (long) s.dim(1));
    }

    @Override
    public void close() { plan.close(); }
}
