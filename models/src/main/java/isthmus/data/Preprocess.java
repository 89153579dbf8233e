package isthmus.data;

import isthmus.tensor.RawPicture;

import java.lang.foreign.MemorySegment;
import java.util.List;

import tools.jackson.core.JacksonException;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.json.JsonMapper;

/**
 * What happens to every picture before the network sees it, in training and in the clinic alike: shrink, cut the middle
 * out, scale and normalise.
 *
 * <p>
 * Value c of a pixel is {@code (grey / 255 - mean[c]) / std[c]}, laid out height, width, channel (NHWC).
 *
 * @param resize   side in pixels of the square that is kept in memory; at least {@code size}, and more to leave room for
 *                 random crops
 * @param size     side in pixels of what the network sees: the middle of it
 * @param fit      how a picture that is no square becomes one
 * @param channels 1, or 3 with the grey value repeated
 * @param mean     one value a channel, on the scale 0 to 1
 * @param std      one positive value a channel, on the same scale
 */
public record Preprocess(int resize, int size, Fit fit, int channels, List<Double> mean, List<Double> std) {
    /** How a picture that is no square becomes one. */
    public enum Fit {
        /** Its short side becomes {@code resize}; what is over on the long side is cut off, half at each end. */
        CROP,
        /** Both sides become {@code resize}; nothing is cut off, proportions change. */
        STRETCH
    }

    private static final int MAX_SIDE = 4096;
    private static final JsonMapper JSON = JsonMapper.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .enable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
            .enable(DeserializationFeature.FAIL_ON_MISSING_CREATOR_PROPERTIES)
            .enable(DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES).build();

    public Preprocess {
        if (size < 1 || resize < size || resize > MAX_SIDE)
            throw new DataException("preprocessing resizes to " + resize + " and crops to " + size
                    + "; needed is 1 <= size <= resize <= " + MAX_SIDE);
        if (fit == null)
            throw new DataException("preprocessing says no fit; it is CROP or STRETCH");
        if (channels != 1 && channels != 3)
            throw new DataException("preprocessing makes " + channels + " channels; it can make 1 or 3");
        if (mean == null || std == null || mean.size() != channels || std.size() != channels)
            throw new DataException(
                    "preprocessing has " + channels + " channels, means " + mean + " and deviations " + std
                            + "; give one of each a channel");
        for (double value : mean)
            if (!Double.isFinite(value))
                throw new DataException("preprocessing has the mean " + value + "; means are finite");
        for (double value : std)
            if (!Double.isFinite(value) || value <= 0)
                throw new DataException("preprocessing has the deviation " + value + "; deviations are positive");
        mean = List.copyOf(mean);
        std = List.copyOf(std);
    }

    /** One channel of {@code size} pixels a side, with a tenth more kept for random crops; mean 0.5, deviation 0.25. */
    public static Preprocess grey(int size) {
        return new Preprocess(size + (size + 9) / 10, size, Fit.CROP, 1, List.of(0.5), List.of(0.25));
    }

    /** Three equal channels, normalised as ImageNet's pictures are. */
    public static Preprocess imageNet(int size) {
        return new Preprocess(size + (size + 9) / 10, size, Fit.CROP, 3, List.of(0.485, 0.456, 0.406),
                List.of(0.229, 0.224, 0.225));
    }

    /** Floats of one preprocessed picture: size * size * channels. */
    public int elements() {
        return size * size * channels;
    }

    /** How a picture travels in a batch, before the middle is cut out and normalised. */
    public RawPicture raw() {
        return new RawPicture(resize);
    }

    /** Preprocesses one picture into {@link #elements()} float32 values at a byte offset of {@code out}. */
    public void apply(GreyImage image, MemorySegment out, long offset) {
        byte[] square = Resampler.square(image, resize, fit);
        new Sampler(this).centre(MemorySegment.ofArray(square), 0, out, offset);
    }

    /** This as a JSON object, as it stands in a recipe and in an ONNX file's metadata. */
    public String toJson() {
        return JSON.writeValueAsString(this);
    }

    /** Reads what {@link #toJson} wrote; a key that is missing or not known is an error. */
    public static Preprocess fromJson(String json) {
        try {
            Preprocess read = JSON.readValue(json, Preprocess.class);
            if (read == null)
                throw new DataException("preprocessing is missing: found null where a JSON object is needed");
            return read;
        } catch (JacksonException e) {
            if (e.getCause() instanceof DataException reason)
                throw reason;
            throw new DataException("preprocessing is not understood: " + e.getOriginalMessage() + "; found " + json,
                    e);
        }
    }
}
