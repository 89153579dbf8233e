package isthmus.server;

import io.vertx.core.http.HttpServerRequest;
import isthmus.wire.Peer;
import isthmus.wire.Refusal;
import isthmus.wire.RefusalException;
import isthmus.wire.Role;
import java.security.cert.X509Certificate;
import java.util.Set;
import java.util.stream.Collectors;
import javax.net.ssl.SSLPeerUnverifiedException;

/** Who is asking: the certificate that TLS has verified against the project's CA says name and role, nothing else does. */
record Admission(String project) {
    /** The peer of a request, if its certificate is of this project and of one of these roles. */
    Peer admit(HttpServerRequest request, Set<Role> roles) {
        Peer peer = peer(request);
        if (!roles.contains(peer.role()))
            throw refused("wrong_role", peer.role().text() + " " + peer.name() + " may not do this; it is for "
                    + roles.stream().map(Role::text).sorted().collect(Collectors.joining(" or ")),
                    request, "use a kit of that role");
        return peer;
    }

    private Peer peer(HttpServerRequest request) {
        try {
            X509Certificate certificate = (X509Certificate) request.connection().sslSession()
                    .getPeerCertificates()[0];
            Peer peer = Peer.of(certificate);
            if (!peer.project().equals(project))
                throw refused("wrong_project", "the certificate is of project " + peer.project() + ", this server's is "
                        + project, request, "use a kit of this project");
            return peer;
        } catch (SSLPeerUnverifiedException e) {
            throw refused("no_certificate", "no certificate was shown", request, "use a kit of this project");
        } catch (IllegalArgumentException e) {
            throw refused("bad_certificate", e.getMessage(), request, "use a kit of this project");
        }
    }

    private static RefusalException refused(String error, String what, HttpServerRequest request, String cure) {
        return new RefusalException(403, new Refusal(error, what, request.method() + " " + request.path(), cure));
    }
}
