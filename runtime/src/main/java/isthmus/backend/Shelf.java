package isthmus.backend;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Iterator;
import java.util.Optional;

/**
 * Kernels of whole programs that are ready and not in use, by what they were prepared for, so that the next program of the
 * same kind begins at once. Holds the last few; closes what it drops. Used by the backend's one thread.
 */
public final class Shelf implements AutoCloseable {
    private record Item(Object key, AutoCloseable thing) {}

    private final int room;
    private final Deque<Item> items = new ArrayDeque<>();

    /** A shelf with room for so many. */
    public Shelf(int room) { this.room = room; }

    /** Takes what was put there last for this key, if it is still there. */
    public <T> Optional<T> take(Object key, Class<T> type) {
        for (Iterator<Item> all = items.iterator(); all.hasNext();) {
            Item item = all.next();
            if (!type.isInstance(item.thing) || !item.key.equals(key)) continue;
            all.remove();
            return Optional.of(type.cast(item.thing));
        }
        return Optional.empty();
    }

    /** Takes over something that is not in use. */
    public void put(Object key, AutoCloseable thing) {
        items.addFirst(new Item(key, thing));
        while (items.size() > room)
            close(items.removeLast().thing);
    }

    @Override
    public void close() {
        while (!items.isEmpty())
            close(items.removeLast().thing);
    }

    private static void close(AutoCloseable thing) {
        try {
            thing.close();
        } catch (RuntimeException e) {
            throw e;
        } catch (Exception e) {
            throw new IllegalStateException("what was kept for later cannot be closed: " + e.getMessage(), e);
        }
    }
}
