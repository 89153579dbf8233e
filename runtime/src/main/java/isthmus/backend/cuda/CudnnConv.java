package isthmus.backend.cuda;

import static isthmus.backend.cuda.Elementwise.suffix;

import isthmus.tensor.DType;
import isthmus.tensor.Shape;
import java.lang.foreign.MemorySegment;

/**
 * A convolution by one of cuDNN's plans. Gradients of weights come as {@code [O,taps,I]} and are put in order after. Owns
 * the plan, which may have other candidates that are engines, too.
 */
record CudnnConv(Device device, ConvPlan plan, ConvPlan.Candidate candidate) implements ConvEngine {
    private static final long ALIGNMENT = 256;

    /** The engine's name, of a problem's candidate. */
    static String name(ConvProblem problem, String candidate) {
        DType result = problem.weightType();
        return "cudnn " + candidate + (result == problem.type() ? "" : " into " + result);
    }

    @Override
    public String name() { return name(problem(), candidate.name()); }

    @Override
    public long scratch() { return ALIGNMENT + weightBytes() + candidate.workspace(); }

    private ConvProblem problem() { return plan.problem(); }

    private boolean gradient() { return problem().direction() == ConvProblem.Direction.WEIGHTS; }

    /** Room for the gradient before it is put in order. */
    private long weightBytes() {
        return !gradient() ? 0 : up(problem().w().elements() * problem().weightType().bytes());
    }

    private static long up(long bytes) { return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

    @Override
    public void bind(Launches to, MemorySegment x, MemorySegment w, MemorySegment y, MemorySegment scratch) {
        long room = up(scratch.address());
        MemorySegment pack = plan.pack(x.address(), gradient() ? room : w.address(), y.address(),
                candidate.workspace() == 0 ? 0 : room + weightBytes());
        to.add(() -> plan.run(candidate, pack));
        Shape s = problem().w();
        if (gradient())
            to.add("channels_first", suffix(problem().weightType()) + "_f32", Grid.over(s.elements(), device),
                    MemorySegment.ofAddress(room), w, (long) s.dim(0), s.elementsFrom(2), (long) s.dim(1));
    }

    @Override
    public void close() { plan.close(); }
}
