package isthmus.provision;

import isthmus.wire.OwnerOnly;
import isthmus.wire.Role;
import java.io.IOException;
import java.io.Reader;
import java.io.StringWriter;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.security.SecureRandom;
import java.security.cert.X509Certificate;
import java.security.spec.ECGenParameterSpec;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Date;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.bouncycastle.asn1.pkcs.PrivateKeyInfo;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.asn1.x500.X500NameBuilder;
import org.bouncycastle.asn1.x500.style.BCStyle;
import org.bouncycastle.asn1.x509.BasicConstraints;
import org.bouncycastle.asn1.x509.ExtendedKeyUsage;
import org.bouncycastle.asn1.x509.Extension;
import org.bouncycastle.asn1.x509.GeneralName;
import org.bouncycastle.asn1.x509.GeneralNames;
import org.bouncycastle.asn1.x509.KeyPurposeId;
import org.bouncycastle.asn1.x509.KeyUsage;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaX509CertificateConverter;
import org.bouncycastle.cert.jcajce.JcaX509ExtensionUtils;
import org.bouncycastle.cert.jcajce.JcaX509v3CertificateBuilder;
import org.bouncycastle.openssl.PEMParser;
import org.bouncycastle.openssl.jcajce.JcaPEMKeyConverter;
import org.bouncycastle.openssl.jcajce.JcaPEMWriter;
import org.bouncycastle.openssl.jcajce.JcaPKCS8Generator;
import org.bouncycastle.operator.OperatorCreationException;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;

/** The project's certificate authority: an EC P-256 key that signs one certificate a participant (RFC 5280). */
final class Authority {
    /** A participant's new key and chain, in PEM. */
    record Issued(String key, String chain) {}

    private static final long CA_YEARS = 10;
    private static final SecureRandom RANDOM = new SecureRandom();

    private final PrivateKey key;
    private final X509Certificate certificate;

    private Authority(PrivateKey key, X509Certificate certificate) {
        this.key = key;
        this.certificate = certificate;
    }

    /** Opens the CA in a folder, or makes a new one there if it has none. */
    static Authority openOrCreate(Path folder, String project) throws IOException {
        Path keyFile = folder.resolve("ca.key.pem");
        Path certificateFile = folder.resolve("ca.pem");
        boolean hasKey = Files.exists(keyFile);
        if (hasKey != Files.exists(certificateFile))
            throw new IOException((hasKey ? certificateFile : keyFile) + " is missing beside "
                    + (hasKey ? keyFile : certificateFile) + "; bring it back from a copy: without it no kit can be"
                    + " added to this project");
        if (hasKey) {
            OwnerOnly.check(keyFile);
            return new Authority(read(keyFile, PrivateKeyInfo.class, i -> new JcaPEMKeyConverter().getPrivateKey(i)),
                    readCertificate(certificateFile));
        }
        Authority fresh = create(project);
        OwnerOnly.folder(folder);
        OwnerOnly.create(certificateFile, ascii(fresh.certificatePem()));
        OwnerOnly.create(keyFile, ascii(pem(new JcaPKCS8Generator(fresh.key, null))));
        return fresh;
    }

    /** A new CA that is on no disk. */
    static Authority create(String project) throws IOException {
        try {
            KeyPair pair = keys();
            X500Name subject = new X500NameBuilder().addRDN(BCStyle.CN, project + " CA").addRDN(BCStyle.O, project)
                    .build();
            Instant now = Instant.now().truncatedTo(ChronoUnit.SECONDS);
            var builder = new JcaX509v3CertificateBuilder(subject, serial(), Date.from(now.minus(1, ChronoUnit.HOURS)),
                    Date.from(now.plus(365 * CA_YEARS, ChronoUnit.DAYS)), subject, pair.getPublic());
            var utils = new JcaX509ExtensionUtils();
            builder.addExtension(Extension.basicConstraints, true, new BasicConstraints(0));
            builder.addExtension(Extension.keyUsage, true, new KeyUsage(KeyUsage.keyCertSign | KeyUsage.cRLSign));
            builder.addExtension(Extension.subjectKeyIdentifier, false,
                    utils.createSubjectKeyIdentifier(pair.getPublic()));
            return new Authority(pair.getPrivate(), sign(builder, pair.getPrivate()));
        } catch (GeneralSecurityException | OperatorCreationException e) {
            throw new IOException("the project's CA could not be made: " + e.getMessage(), e);
        }
    }

    /** A new key and certificate for one participant; hosts matter for the server only. */
    Issued issue(String project, String name, Role role, List<String> hosts, Instant from, Instant until)
            throws IOException {
        try {
            KeyPair pair = keys();
            X500Name subject = new X500NameBuilder().addRDN(BCStyle.CN, name).addRDN(BCStyle.O, project)
                    .addRDN(BCStyle.OU, role.text()).build();
            var builder = new JcaX509v3CertificateBuilder(X500Name.getInstance(
                    certificate.getSubjectX500Principal().getEncoded()), serial(), Date.from(from), Date.from(until),
                    subject, pair.getPublic());
            var utils = new JcaX509ExtensionUtils();
            builder.addExtension(Extension.basicConstraints, true, new BasicConstraints(false));
            builder.addExtension(Extension.keyUsage, true, new KeyUsage(KeyUsage.digitalSignature));
            builder.addExtension(Extension.extendedKeyUsage, false, new ExtendedKeyUsage(
                    role == Role.SERVER ? KeyPurposeId.id_kp_serverAuth : KeyPurposeId.id_kp_clientAuth));
            builder.addExtension(Extension.authorityKeyIdentifier, false,
                    utils.createAuthorityKeyIdentifier(certificate));
            builder.addExtension(Extension.subjectKeyIdentifier, false,
                    utils.createSubjectKeyIdentifier(pair.getPublic()));
            if (role == Role.SERVER)
                builder.addExtension(Extension.subjectAlternativeName, false, alternativeNames(hosts));
            X509Certificate own = sign(builder, key);
            return new Issued(pem(new JcaPKCS8Generator(pair.getPrivate(), null)), pem(own));
        } catch (GeneralSecurityException | OperatorCreationException e) {
            throw new IOException("no certificate could be made for " + name + ": " + e.getMessage(), e);
        }
    }

    /** The CA's certificate in PEM. */
    String certificatePem() throws IOException { return pem(certificate); }

    /** Loopback is always among them, so that a server can be tried on its own machine. */
    private static GeneralNames alternativeNames(List<String> hosts) {
        Set<String> all = new LinkedHashSet<>(hosts);
        all.add("localhost");
        all.add("127.0.0.1");
        return new GeneralNames(all.stream()
                .map(h -> new GeneralName(isAddress(h) ? GeneralName.iPAddress : GeneralName.dNSName, h))
                .toArray(GeneralName[]::new));
    }

    private static boolean isAddress(String host) {
        return host.indexOf(':') >= 0 || host.matches("\\d{1,3}(\\.\\d{1,3}){3}");
    }

    private static KeyPair keys() throws GeneralSecurityException {
        KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
        generator.initialize(new ECGenParameterSpec("secp256r1"), RANDOM);
        return generator.generateKeyPair();
    }

    private static BigInteger serial() { return new BigInteger(127, RANDOM).setBit(126); }

    private static X509Certificate sign(JcaX509v3CertificateBuilder builder, PrivateKey key)
            throws OperatorCreationException, GeneralSecurityException {
        return new JcaX509CertificateConverter()
                .getCertificate(builder.build(new JcaContentSignerBuilder("SHA256withECDSA").build(key)));
    }

    private static String pem(Object thing) throws IOException {
        StringWriter text = new StringWriter();
        try (JcaPEMWriter out = new JcaPEMWriter(text)) {
            out.writeObject(thing);
        }
        return text.toString();
    }

    /** PEM is ASCII. */
    static byte[] ascii(String pem) { return pem.getBytes(StandardCharsets.US_ASCII); }

    private interface Convert<A, B> {
        B apply(A from) throws IOException, GeneralSecurityException;
    }

    private static X509Certificate readCertificate(Path file) throws IOException {
        return read(file, X509CertificateHolder.class, h -> new JcaX509CertificateConverter().getCertificate(h));
    }

    private static <A, B> B read(Path file, Class<A> kind, Convert<A, B> convert) throws IOException {
        try (Reader text = Files.newBufferedReader(file); PEMParser parser = new PEMParser(text)) {
            Object found = parser.readObject();
            if (!kind.isInstance(found))
                throw new IOException(
                        file + " holds no " + kind.getSimpleName() + " in PEM; bring it back from a copy");
            return convert.apply(kind.cast(found));
        } catch (GeneralSecurityException e) {
            throw new IOException(file + " cannot be read: " + e.getMessage(), e);
        }
    }
}
