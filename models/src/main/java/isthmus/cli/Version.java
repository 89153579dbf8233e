package isthmus.cli;

/** This program's version. */
final class Version {
    static final String TEXT = "0.1.0-SNAPSHOT";

    private Version() {}
}
