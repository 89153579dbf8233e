package isthmus.wire;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

class JsonTest {
    private static final String JOB = """
            {"name": "chest", "rounds": 5, "min_sites": 2, "aggregator": {"rule": "fedavg"}, "key_metric": "auroc",
             "recipe": {"optimizer": {"kind": "adamw"}}}""";

    private static JobSpec job(String text) {
        return Json.read(text.getBytes(StandardCharsets.UTF_8), JobSpec.class, "job.json");
    }

    private static void refused(String text, String... parts) {
        String message = assertThrows(RefusalException.class, () -> job(text)).getMessage();
        for (String part : parts)
            assertTrue(message.contains(part), message);
    }

    @Test
    void aJobComesBackAsItWasWithDefaultsFilledIn() {
        JobSpec job = job(JOB);
        assertEquals(300, job.noProgressSeconds());
        assertEquals(86_400, job.roundDeadlineSeconds());
        assertEquals("{\"optimizer\":{\"kind\":\"adamw\"}}", job.recipe().toString());
        assertEquals(job, Json.read(Json.bytes(job), JobSpec.class, "again"));
    }

    @Test
    void whatIsWrongIsNamedWithPlaceAndCure() {
        refused(JOB.replace("min_sites", "min_clients"), "unknown key \"min_clients\"", "job.json, line 1", "known: ");
        refused(JOB.replace("\"rounds\"", "\"round\""), "unknown key \"round\"", "did you mean \"rounds\"?");
        refused(JOB.replace("\"recipe\"", "\"reciepe\""), "unknown key \"reciepe\"", "line 2",
                "did you mean \"recipe\"?");
        refused(JOB.replace("5", "0"), "rounds is 0; it must be from 1 to 100000");
        refused(JOB.replace("5", "2.5"), "job.json, line 1");
        refused(JOB.replace("5", "null"), "rounds is missing");
        refused(JOB.replace("\"chest\"", "\"../chest\""), "job name \"../chest\" is not 1 to 63 letters");
        refused(JOB + "{}", "job.json");
        refused(JOB.replace("\"rounds\": 5", "\"rounds\": 5, \"rounds\": 6"), "uplicate");
        refused("null", "nothing but null");
        refused("", "job.json");
    }

    @Test
    void documentsAreBounded() {
        refused(JOB.replace("\"adamw\"", "[".repeat(40) + "]".repeat(40)), "nesting depth");
        refused(" ".repeat(Json.MAX_BYTES + 1), "at most 1048576");
    }

    /** Whatever bytes come, the answer is a record or a refusal, and nothing else is thrown. */
    @Test
    void damagedMessagesAreRefusedOrRead() {
        byte[] sound = Json.bytes(job(JOB));
        Random random = new Random(3);
        int refused = 0;
        for (int i = 0; i < 20_000; i++) {
            byte[] bytes = Arrays.copyOf(sound, i % 3 == 0 ? random.nextInt(sound.length) : sound.length);
            for (int k = random.nextInt(4); k > 0 && bytes.length > 0; k--)
                bytes[random.nextInt(bytes.length)] = (byte) random.nextInt(256);
            try {
                Json.read(bytes, JobSpec.class, "fuzz " + i);
            } catch (RefusalException e) {
                refused++;
            }
        }
        assertTrue(refused > 5_000, refused + " of 20000 were refused");
    }
}
