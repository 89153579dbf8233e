package isthmus.weights;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A restricted unpickler: of Python's pickle machine it has the instructions that build plain values and tensors, and no
 * others. A name that is not in {@link TorchNames} is refused as it stands; nothing is ever imported or run. Numbers of
 * instructions and values are bounded, and nothing recurses. Instructions: Python's {@code Lib/pickletools.py}, protocols 2
 * to 5.
 */
final class Unpickler {
    static final int MAX_INSTRUCTIONS = 4_000_000;
    private static final int MAX_INT_BYTES = 16;
    private static final Py NONE = new Py.None();

    private final String source;
    private final PickleBytes in;
    private final List<Py> stack = new ArrayList<>();
    private final List<Integer> marks = new ArrayList<>();
    private final Map<Integer, Py> memo = new HashMap<>();
    private final Map<String, Py.Storage> storages = new HashMap<>();
    private int instructions;
    private long start;

    Unpickler(String source, PickleBytes in) {
        this.source = source;
        this.in = in;
    }

    /** Reads one pickle and stays behind it. */
    Py load() {
        stack.clear();
        marks.clear();
        memo.clear();
        while (true) {
            if (++instructions > MAX_INSTRUCTIONS)
                throw wrong("has more than " + MAX_INSTRUCTIONS + " instructions; no checkpoint of a model has");
            start = in.at();
            int code = in.u8();
            if (code == '.') return pop();
            try {
                if (!plain(code) && !container(code)) name(code);
            } catch (IllegalArgumentException e) {
                throw wrong("builds at byte " + start + " " + e.getMessage() + "; no checkpoint of a model does");
            } catch (ArithmeticException e) {
                throw wrong("builds at byte " + start + " a tensor of more elements than can be counted");
            }
        }
    }

    /** Numbers, texts, the memo. */
    private boolean plain(int code) {
        switch (code) {
            case 0x80 -> protocol(in.u8());
            case 0x95 -> in.skip(8); // frames only say how to read in advance
            case 'N' -> push(NONE);
            case 0x88 -> push(new Py.Truth(true));
            case 0x89 -> push(new Py.Truth(false));
            case 'J' -> push(new Py.Int(in.i32()));
            case 'K' -> push(new Py.Int(in.u8()));
            case 'M' -> push(new Py.Int(in.u16()));
            case 0x8a -> push(integer(in.u8()));
            case 'G' -> push(new Py.Real(in.f64()));
            case 'X' -> push(new Py.Text(in.text(in.i32() & 0xFFFFFFFFL)));
            case 0x8c, 'U' -> push(new Py.Text(in.text(in.u8())));
            case 0x8d -> push(new Py.Text(in.text(in.i64())));
            case 'T' -> push(new Py.Text(in.text(in.i32())));
            case 'q' -> memo.put(in.u8(), top());
            case 'r' -> memo.put(in.i32(), top());
            case 0x94 -> memo.put(memo.size(), top());
            case 'h' -> push(remembered(in.u8()));
            case 'j' -> push(remembered(in.i32()));
            default -> {
                return false;
            }
        }
        return true;
    }

    private void protocol(int version) {
        if (version < 2 || version > 5)
            throw wrong("is of protocol " + version + "; 2 to 5 are read: save the file again with a newer PyTorch");
    }

    private Py integer(int bytes) {
        if (bytes > MAX_INT_BYTES) throw wrong("has a whole number of " + bytes + " bytes");
        byte[] little = in.raw(bytes);
        byte[] big = new byte[bytes];
        for (int i = 0; i < bytes; i++)
            big[i] = little[bytes - 1 - i];
        BigInteger value = bytes == 0 ? BigInteger.ZERO : new BigInteger(big);
        return value.bitLength() < Long.SIZE ? new Py.Int(value.longValue()) : new Py.Big(value);
    }

    private Py remembered(int key) {
        Py value = memo.get(key);
        if (value == null) throw damaged("it recalls value " + key + ", which it never kept");
        return value;
    }

    /** Lists, tuples, dictionaries. */
    private boolean container(int code) {
        switch (code) {
            case '(' -> marks.add(stack.size());
            case ']' -> push(new Py.Items(new ArrayList<>()));
            case ')' -> push(new Py.Tuple(List.of()));
            case '}' -> push(new Py.Dict(new LinkedHashMap<>(), false));
            case 't' -> push(new Py.Tuple(popMark()));
            case 0x85, 0x86, 0x87 -> push(new Py.Tuple(pop(code - 0x84)));
            case 'a' -> append(pop(1));
            case 'e' -> append(popMark());
            case 's' -> put(pop(2));
            case 'u' -> put(popMark());
            default -> {
                return false;
            }
        }
        return true;
    }

    private void append(List<Py> values) {
        if (!(top() instanceof Py.Items list)) throw damaged("it appends to a " + top().kind());
        list.values().addAll(values);
    }

    private void put(List<Py> pairs) {
        if (!(top() instanceof Py.Dict dict) || pairs.size() % 2 != 0)
            throw damaged("it sets " + pairs.size() + " keys and values in a " + top().kind());
        for (int i = 0; i < pairs.size(); i += 2) {
            switch (pairs.get(i)) {
                case Py.Text t -> dict.values().put(t, pairs.get(i + 1));
                case Py.Int n -> dict.values().put(n, pairs.get(i + 1));
                case Py.Real r -> dict.values().put(r, pairs.get(i + 1));
                case Py.Truth b -> dict.values().put(b, pairs.get(i + 1));
                case Py.None n -> dict.values().put(n, pairs.get(i + 1));
                default -> throw wrong("has a dictionary with a key that is a " + pairs.get(i).kind());
            }
        }
    }

    /** Names, and what is made with them. */
    private void name(int code) {
        switch (code) {
            case 'c' -> push(find(in.line() + "." + in.line()));
            case 0x93 -> push(find(dotted(pop(2))));
            case 'R' -> call(pop(2));
            case 'b' -> attributes(pop());
            case 'Q' -> push(storage(pop()));
            case 'i' -> find(in.line() + "." + in.line());
            default -> throw wrong("uses the instruction " + Integer.toHexString(code) + " at byte " + start
                    + (stack.isEmpty() ? "" : " on a " + top().kind())
                    + ", which no file of plain tensors needs; in Python, save model.state_dict() alone");
        }
    }

    private String dotted(List<Py> names) {
        if (names.get(0) instanceof Py.Text module && names.get(1) instanceof Py.Text name)
            return module.value() + "." + name.value();
        throw damaged("it asks for a name that is no text");
    }

    private Py.Name find(String name) {
        return TorchNames.find(name).orElseThrow(() -> wrong("asks for " + Words.safe(name) + " at byte " + start
                + ". Only tensors are built from a file, nothing in it is run; in Python, on a machine where you trust the "
                + "file, save the weights alone: torch.save(model.state_dict(), FILE)"));
    }

    private void call(List<Py> functionAndArguments) {
        if (!(functionAndArguments.get(0) instanceof Py.Name function)
                || !(functionAndArguments.get(1) instanceof Py.Tuple arguments))
            throw wrong("calls a " + functionAndArguments.get(0).kind() + " at byte " + start
                    + "; nothing but tensors is built from a file");
        push(function.of().call(arguments.values()));
    }

    private Py storage(Py id) {
        Py.Storage s = TorchNames.storage(id);
        storages.putIfAbsent(s.key(), s);
        return s;
    }

    /** The storage of that key that a pickle spoke of, or null. */
    Py.Storage storage(String key) {
        return storages.get(key);
    }

    /** A state_dict carries {@code _metadata}, the layers' versions: of no use here. */
    private void attributes(Py state) {
        if (top() instanceof Py.Dict dict && dict.ordered() && state instanceof Py.Dict) return;
        throw wrong("sets attributes of a " + top().kind() + " at byte " + start
                + "; nothing but tensors is built from a file");
    }

    private void push(Py value) { stack.add(value); }

    private int floor() { return marks.isEmpty() ? 0 : marks.getLast(); }

    private Py top() {
        if (stack.size() <= floor()) throw damaged("it takes a value where there is none");
        return stack.getLast();
    }

    private Py pop() {
        top();
        return stack.removeLast();
    }

    private List<Py> pop(int n) {
        if (stack.size() - floor() < n) throw damaged("it takes " + n + " values where there are fewer");
        return cut(stack.size() - n);
    }

    private List<Py> popMark() {
        if (marks.isEmpty()) throw damaged("it closes what it never opened");
        return cut(marks.removeLast());
    }

    private List<Py> cut(int from) {
        List<Py> above = stack.subList(from, stack.size());
        List<Py> values = List.copyOf(above);
        above.clear();
        return values;
    }

    private CheckpointException damaged(String what) {
        return new CheckpointException(
                source + ": its pickle is damaged at byte " + start + ": " + what + "; fetch the file again");
    }

    private CheckpointException wrong(String what) { return new CheckpointException(source + ": its pickle " + what); }
}
