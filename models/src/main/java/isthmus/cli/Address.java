package isthmus.cli;

/** A server's host and port as people write them. */
record Address(String host, int port) {
    /** Reads {@code host:port}; an IPv6 address stands in brackets. */
    static Address parse(String text) {
        int colon = text.lastIndexOf(':');
        if (colon > 0 && colon < text.length() - 1 && text.substring(colon + 1).chars().allMatch(Character::isDigit)
                && text.length() - colon <= 6) {
            int port = Integer.parseInt(text.substring(colon + 1));
            String host = text.substring(0, colon).replaceAll("^\\[(.*)]$", "$1");
            if (port >= 1 && port <= 65_535) return new Address(host, port);
        }
        throw new CliException(Exit.USAGE,
                "'" + text + "' is no address of a server; write HOST:PORT, such as fl.example.org:8443");
    }
}
