package isthmus.weights;

/** One tensor that keeps a checkpoint and a model apart; a side that has nothing under that name is null. */
record Difference(String name, String inModel, String inFile) {
    @Override
    public String toString() {
        return "  " + Words.safe(name) + ": the model has " + (inModel == null ? "nothing" : inModel) + ", the file "
                + (inFile == null ? "nothing" : inFile);
    }
}
