package isthmus.cli;

import isthmus.op.ShapeException;
import isthmus.task.Recipe;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/** Recipes from files, with errors that name the file. */
final class RecipeOption {
    private RecipeOption() {}

    /** The recipe in a file, or a shipped one by its name; that for pneumonia where none is named. */
    static Recipe read(Path file) throws IOException {
        if (file == null) return Recipe.pneumonia();
        if (!Files.exists(file)) {
            Optional<Recipe> shipped = Recipe.shipped(file.toString());
            if (shipped.isPresent()) return shipped.get();
        }
        InputFiles.require(file, "a recipe in JSON");
        return parse(Files.readString(file), file.toString());
    }

    /** The recipe in a text that came from {@code where}. */
    static Recipe parse(String json, String where) {
        try {
            Recipe recipe = Recipe.fromJson(json);
            recipe.build();
            return recipe;
        } catch (IllegalArgumentException | ShapeException e) {
            throw new CliException(Exit.BAD_DATA,
                    where + ": " + e.getMessage() + "; isthmus train --print-recipe prints one that works", e);
        }
    }
}
