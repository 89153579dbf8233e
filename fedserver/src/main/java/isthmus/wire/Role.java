package isthmus.wire;

import java.util.Locale;

/** What a certificate's owner may do; it stands in the certificate's OU and nowhere else. */
public enum Role {
    /** Runs the rounds. */
    SERVER,
    /** Trains on its own data: takes tasks, sends updates. */
    SITE,
    /** Submits, watches and aborts jobs. */
    ADMIN;

    /** The spelling in certificates and JSON. */
    public String text() { return name().toLowerCase(Locale.ROOT); }

    /** The role of that spelling, or null. */
    public static Role of(String text) {
        for (Role role : values())
            if (role.text().equals(text))
                return role;
        return null;
    }
}
