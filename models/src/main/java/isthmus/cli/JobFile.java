package isthmus.cli;

import isthmus.report.JsonFile;
import isthmus.task.Compute;
import isthmus.task.Recipe;
import isthmus.task.StartWeights;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * A job as text, with the recipe that is in it.
 *
 * @param text the job's JSON as it is sent; the server checks every key of it
 */
record JobFile(String text, Recipe recipe) {
    /** Reads a job and its recipe; everything else in it is the server's to judge. */
    static JobFile read(Path file) throws IOException {
        InputFiles.require(file, "a job in JSON");
        String text = Files.readString(file);
        try {
            JsonNode recipe = JsonMapper.shared().readTree(text).get("recipe");
            if (recipe == null || !recipe.isObject())
                throw new CliException(Exit.BAD_DATA,
                        file + ": the job has no recipe; isthmus submit --example prints a whole job");
            return new JobFile(text, RecipeOption.parse(recipe.toString(), file.toString()));
        } catch (JacksonException e) {
            throw new CliException(Exit.BAD_DATA, file + ": no JSON: " + e.getOriginalMessage() + " at line "
                    + e.getLocation().getLineNr(), e);
        }
    }

    /** A job of FedAvg over some sites. */
    static JobFile of(String name, int rounds, int sites, Recipe recipe) {
        Map<String, Object> job = new LinkedHashMap<>();
        job.put("name", name);
        job.put("rounds", rounds);
        job.put("min_sites", sites);
        job.put("aggregator", Map.of("rule", "fedavg"));
        job.put("key_metric", "auroc");
        job.put("no_progress_seconds", 300);
        job.put("recipe", JsonMapper.shared().readTree(recipe.toJson()));
        return new JobFile(JsonFile.text(job), recipe);
    }

    /** Writes the weights that the recipe's seed gives, or those of the file that it names. */
    void writeStart(Path file) throws IOException {
        StartWeights.write(recipe, Optional.empty(), List.of(), Compute.cpu(1), file, line -> {});
    }
}
