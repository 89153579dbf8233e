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

/**
 * One convolution, forward or one of its derivatives, as cuDNN has it: x {@code [N,C,...]}, w {@code [O,C/G,...]},
 * y {@code [N,O,...]}, all channels-last, with the derivative in the place of what it is derived by.
 */
record ConvProblem(Direction direction, Window window, Shape x, Shape w, Shape y, DType type, DType result) {
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
    static List<ConvProblem> of(Node n, Function<Value, DType> types) {
        DType type = types.apply(n.in(0));
        Shape first = n.in(0).shape();
        Shape second = n.in(1).shape();
        return switch (n.op()) {
            case Conv op ->
                List.of(new ConvProblem(Direction.FORWARD, op.window(), first, second, n.out(0).shape(), type, type));
            case Conv.BackwardData op ->
                List.of(new ConvProblem(Direction.DATA, op.window(), op.x(), second, first, type, type));
            case Conv.BackwardWeights op -> {
                ConvProblem exact = new ConvProblem(Direction.WEIGHTS, op.window(), first, op.weight(), second, type,
                        DType.F32);
                yield type == DType.F32 ? List.of(exact) : List.of(exact, exact.into(type));
            }
            default -> throw new IllegalArgumentException("no convolution: " + n.op().name());
        };
    }

    /** Channels of x for each of w's: the number of groups. */
    int groups() { return x.dim(1) / w.dim(1); }

    /** The element type of w; results may differ from what they are computed from. */
    DType weightType() {
        return direction == Direction.WEIGHTS ? result : type;
    }

    /** The same with another type of result. */
    ConvProblem into(DType other) {
        return new ConvProblem(direction, window, x, w, y, type, other);
    }

    /** All that cuDNN's choice depends on, on one line. */
    String key() {
        return direction + " " + type + " " + result + " x" + x + " w" + w + " s" + window.stride() + " p"
                + window.padding() + " d" + window.dilation();
    }
}
