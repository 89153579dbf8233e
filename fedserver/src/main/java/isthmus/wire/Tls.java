package isthmus.wire;

import java.io.IOException;
import java.util.Map;
import javax.net.ssl.SSLException;

/** Words for what TLS says in alerts: a certificate that is refused will be refused again, so it is no IOException. */
final class Tls {
    private static final Map<String, String> ALERTS = Map.of(
            "certificate_expired", "the server refused our certificate: it has expired",
            "certificate_required", "the server refused the connection: no certificate was shown",
            "certificate_unknown", "the server refused our certificate: it has expired, or comes from another CA",
            "unknown_ca", "the server refused our certificate: it comes from another CA",
            "bad_certificate", "the server refused our certificate",
            "access_denied", "the server refused our certificate");

    private Tls() {}

    /** The exception to throw for this one. */
    static IOException explain(IOException e) {
        if (e instanceof java.net.ConnectException)
            return new IOException(
                    "no connection; is the server running, and are its host and port in connection.json right?",
                    e);
        for (Throwable t = e; t != null; t = t.getCause()) {
            String text = String.valueOf(t.getMessage());
            for (var alert : ALERTS.entrySet())
                if (t instanceof SSLException && text.contains("alert: " + alert.getKey()))
                    throw refusal(alert.getValue(), "use a kit of this project that has not expired");
            if (t instanceof java.security.cert.CertificateException || text.contains("PKIX path"))
                throw refusal("we refuse the server's certificate: " + text,
                        "check the host name in connection.json, and that kit and server are of one project");
        }
        return e;
    }

    private static RefusalException refusal(String what, String cure) {
        return new RefusalException(403, new Refusal("certificate_refused", what, "TLS handshake", cure));
    }
}
