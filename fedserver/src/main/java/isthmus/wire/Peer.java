package isthmus.wire;

import java.security.cert.X509Certificate;
import javax.naming.InvalidNameException;
import javax.naming.ldap.LdapName;
import javax.naming.ldap.Rdn;

/**
 * Who a certificate speaks for: CN is the name, O the project, OU the role.
 *
 * @param name the participant's name
 * @param project the project it belongs to
 * @param role what it may do
 */
public record Peer(String name, String project, Role role) {
    /** Reads a certificate whose chain was verified already; throws if its subject is not one that we issue. */
    public static Peer of(X509Certificate certificate) {
        String subject = certificate.getSubjectX500Principal().getName();
        String name = null;
        String project = null;
        Role role = null;
        try {
            for (Rdn part : new LdapName(subject).getRdns()) {
                switch (part.getType()) {
                    case "CN" -> name = part.getValue().toString();
                    case "O" -> project = part.getValue().toString();
                    case "OU" -> role = Role.of(part.getValue().toString());
                    default -> {
                        /* other parts carry no right */ }
                }
            }
        } catch (InvalidNameException e) {
            throw new IllegalArgumentException("certificate subject \"" + subject + "\" cannot be read", e);
        }
        if (!Names.isName(name) || !Names.isName(project) || role == null)
            throw new IllegalArgumentException("certificate subject \"" + subject
                    + "\" lacks a name (CN), a project (O) or a role (OU server, site or admin)");
        return new Peer(name, project, role);
    }
}
