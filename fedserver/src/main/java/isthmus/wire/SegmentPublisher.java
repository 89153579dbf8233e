package isthmus.wire;

import java.lang.foreign.MemorySegment;
import java.net.http.HttpRequest.BodyPublisher;
import java.nio.ByteBuffer;
import java.util.concurrent.Flow;

/** A request body that is read straight from off-heap memory, 64 KiB a step, as the connection asks for it. */
final class SegmentPublisher implements BodyPublisher {
    private static final int STEP = 64 << 10;
    private final MemorySegment data;

    SegmentPublisher(MemorySegment data) { this.data = data; }

    @Override
    public long contentLength() { return data.byteSize(); }

    @Override
    public void subscribe(Flow.Subscriber<? super ByteBuffer> subscriber) {
        subscriber.onSubscribe(new Reading(subscriber));
    }

    /** One pass over the body; demand that comes from inside onNext is served by the loop that is already running. */
    private final class Reading implements Flow.Subscription {
        private final Flow.Subscriber<? super ByteBuffer> subscriber;
        private long demand;
        private long at;
        private boolean serving;
        private boolean over;

        Reading(Flow.Subscriber<? super ByteBuffer> subscriber) { this.subscriber = subscriber; }

        @Override
        public void request(long n) {
            synchronized (this) {
                demand = demand + n < 0 ? Long.MAX_VALUE : demand + n;
                if (serving)
                    return;
                serving = true;
            }
            while (take()) {
                long length = Math.min(STEP, data.byteSize() - at);
                ByteBuffer step = data.asSlice(at, length).asByteBuffer();
                at += length;
                subscriber.onNext(step);
            }
        }

        private boolean take() {
            boolean ended;
            synchronized (this) {
                ended = !over && at == data.byteSize();
                if (over || ended || demand == 0) {
                    serving = false;
                    over |= ended;
                } else {
                    demand--;
                }
                if (!ended)
                    return serving;
            }
            subscriber.onComplete();
            return false;
        }

        @Override
        public synchronized void cancel() { over = true; }
    }
}
