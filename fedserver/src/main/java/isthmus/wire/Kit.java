package isthmus.wire;

import java.io.IOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.SecureRandom;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.time.Instant;
import java.util.Base64;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/**
 * A participant's folder: its private key, its certificate, the project's CA certificate, and where the server is.
 * Made by {@code isthmus provision}; opened and checked here.
 */
public final class Kit {
    /** Private key, PKCS#8 in PEM, readable by its owner only. */
    public static final String KEY = "key.pem";
    /** Certificate chain in PEM, own certificate first. */
    public static final String CERTIFICATE = "cert.pem";
    /** The project's CA certificate in PEM. */
    public static final String CA = "ca.pem";
    /** {@link Connection} in JSON. */
    public static final String CONNECTION = "connection.json";

    private final Path folder;
    private final Connection connection;
    private final X509Certificate certificate;
    private final X509Certificate ca;

    private Kit(Path folder, Connection connection, X509Certificate certificate, X509Certificate ca) {
        this.folder = folder;
        this.connection = connection;
        this.certificate = certificate;
        this.ca = ca;
    }

    /**
     * Opens a kit of a role.
     *
     * @throws IOException naming the file and the cure, if one is missing, readable by others or of another role
     */
    public static Kit open(Path folder, Role role) throws IOException {
        for (String name : new String[]{CONNECTION, KEY, CERTIFICATE, CA})
            if (!Files.isRegularFile(folder.resolve(name)))
                throw new IOException(folder.resolve(name) + " is missing; this folder is no kit, or a broken one:"
                        + " take it anew from who ran \"isthmus provision\"");
        OwnerOnly.check(folder.resolve(KEY));
        Connection connection = Json.read(folder.resolve(CONNECTION), Connection.class);
        X509Certificate certificate = certificate(folder.resolve(CERTIFICATE));
        Peer peer = peer(folder, certificate);
        if (peer.role() != role)
            throw new IOException(folder + " is a kit of role " + peer.role().text() + "; here one of role "
                    + role.text() + " is needed");
        if (!peer.name().equals(connection.name()) || !peer.role().text().equals(connection.role()))
            throw new IOException(folder.resolve(CONNECTION) + " names " + connection.role() + " " + connection.name()
                    + ", the certificate " + peer.role().text() + " " + peer.name()
                    + "; two kits were mixed: take this one anew");
        return new Kit(folder, connection, certificate, certificate(folder.resolve(CA)));
    }

    private static Peer peer(Path folder, X509Certificate certificate) throws IOException {
        try {
            return Peer.of(certificate);
        } catch (IllegalArgumentException e) {
            throw new IOException(folder.resolve(CERTIFICATE) + ": " + e.getMessage(), e);
        }
    }

    /** The same kit, but the server is looked for elsewhere. */
    public Kit at(String host, int port) {
        Connection c = connection;
        return new Kit(folder, new Connection(c.project(), c.name(), c.role(), host, port), certificate, ca);
    }

    /** Throws, with the cure, if the certificate is not valid now. */
    public void checkValid() throws IOException {
        Instant now = Instant.now();
        if (now.isAfter(certificate.getNotAfter().toInstant()))
            throw new IOException(path(CERTIFICATE) + ": the certificate of " + connection.name() + " expired at "
                    + certificate.getNotAfter().toInstant() + "; ask for a new kit");
        if (now.isBefore(certificate.getNotBefore().toInstant()))
            throw new IOException(path(CERTIFICATE) + ": the certificate of " + connection.name()
                    + " is valid from " + certificate.getNotBefore().toInstant() + " on; check this machine's clock");
    }

    /** Name, role, server. */
    public Connection connection() { return connection; }

    /** A file of this kit. */
    public Path path(String name) { return folder.resolve(name); }

    /** Own certificate. */
    public X509Certificate certificate() { return certificate; }

    /** The server's base address. */
    public URI server() {
        return URI.create("https://" + connection.host() + ":" + connection.port());
    }

    /** Shows our certificate, trusts our CA and nothing else. */
    public SSLContext sslContext() throws IOException {
        try {
            KeyStore own = KeyStore.getInstance("PKCS12");
            own.load(null, null);
            own.setKeyEntry("own", privateKey(), new char[0], new X509Certificate[]{certificate, ca});
            KeyManagerFactory keys = KeyManagerFactory.getInstance("PKIX");
            keys.init(own, new char[0]);
            KeyStore trusted = KeyStore.getInstance("PKCS12");
            trusted.load(null, null);
            trusted.setCertificateEntry("ca", ca);
            TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
            trust.init(trusted);
            SSLContext context = SSLContext.getInstance("TLSv1.3");
            context.init(keys.getKeyManagers(), trust.getTrustManagers(), new SecureRandom());
            return context;
        } catch (GeneralSecurityException e) {
            throw new IOException(folder + ": this kit's key and certificates cannot be used: " + e.getMessage(), e);
        }
    }

    private PrivateKey privateKey() throws IOException, GeneralSecurityException {
        String pem = Files.readString(path(KEY), StandardCharsets.US_ASCII);
        String body = pem.replaceAll("-----(BEGIN|END) PRIVATE KEY-----", "").replaceAll("\\s", "");
        try {
            return KeyFactory.getInstance("EC")
                    .generatePrivate(new PKCS8EncodedKeySpec(Base64.getDecoder().decode(body)));
        } catch (IllegalArgumentException e) {
            throw new GeneralSecurityException(KEY + " is no PEM file", e);
        }
    }

    private static X509Certificate certificate(Path file) throws IOException {
        try (var in = Files.newInputStream(file)) {
            return (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(in);
        } catch (GeneralSecurityException e) {
            throw new IOException(file + " holds no certificate in PEM: " + e.getMessage(), e);
        }
    }
}
