package isthmus;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.GeneralCodingRules.ACCESS_STANDARD_STREAMS;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Who may import whom, over every class of bindings, runtime, fedserver and models; the table is the map of the house. */
class ImportRulesTest {
    /** A package, and after the arrow our packages that it may import. */
    private static final Map<String, Set<String>> ALLOWED = table(
            """
                    bindings          ->
                    bindings.onednn   -> bindings
                    bindings.kernels  -> bindings
                    bindings.nvrtc    -> bindings
                    bindings.cublas   -> bindings
                    bindings.cudnn    -> bindings
                    bindings.cuda     -> bindings bindings.nvrtc bindings.cublas bindings.cudnn
                    tensor            -> bindings bindings.kernels
                    op                -> tensor
                    backend           -> op tensor bindings.kernels
                    backend.onednn    -> backend op tensor bindings bindings.onednn bindings.kernels
                    backend.cuda      -> backend op tensor bindings bindings.cuda bindings.nvrtc bindings.cublas bindings.cudnn bindings.kernels
                    graph             -> backend op tensor
                    nn                -> graph op tensor
                    train             -> nn graph backend op tensor bindings.kernels
                    detect            -> train nn backend op tensor
                    zoo               -> nn op tensor
                    onnx              -> nn graph op tensor
                    wire              -> tensor
                    server            -> wire tensor
                    client            -> wire tensor
                    admin             -> wire tensor
                    provision         -> wire
                    data              -> tensor
                    agent             -> data onnx nn tensor
                    weights           -> zoo nn op tensor
                    task              -> data train zoo nn graph backend op tensor client
                    experiment        -> task data train zoo nn graph backend tensor report
                    profile           -> detect train zoo nn graph backend op tensor report
                    report            ->
                    cli               -> *
                    """);

    /** Of the hidden wire format, what the administrator's door hands out: refusals and a job's state. */
    private static final Set<String> WIRE_DOOR = Set.of("JobList", "JobStatus", "RoundRecord", "Refusal",
            "RefusalException");

    private static JavaClasses all;

    @BeforeAll
    static void readClasses() {
        all = new ClassFileImporter().withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
                .importPackages("isthmus");
    }

    @Test
    void everyPackageIsOnTheMapAndFound() {
        Set<String> found = all.stream().filter(c -> !c.getSimpleName().equals("package-info"))
                .map(ImportRulesTest::house)
                .collect(Collectors.toCollection(TreeSet::new));
        assertEquals(new TreeSet<>(ALLOWED.keySet()), found);
        assertTrue(all.size() > 200, "only " + all.size() + " classes were found");
    }

    @Test
    void packagesImportOnlyWhatTheMapSays() {
        ALLOWED.forEach((from, to) -> {
            if (to.contains("*")) return;
            classes().that(liveIn(from)).should()
                    .onlyDependOnClassesThat(new DescribedPredicate<>("are not ours or in " + to) {
                        @Override
                        public boolean test(JavaClass c) {
                            return !c.getPackageName().startsWith("isthmus") || house(c).equals(from)
                                    || to.contains(house(c));
                        }
                    }).check(all);
        });
    }

    @Test
    void theWireIsHiddenButForTheAdministratorsDoor() {
        noClasses().that()
                .resideOutsideOfPackages("isthmus.wire..", "isthmus.server..", "isthmus.client..", "isthmus.admin..",
                        "isthmus.provision..")
                .should()
                .dependOnClassesThat(new DescribedPredicate<>("are of the wire and not of the administrator's door") {
                    @Override
                    public boolean test(JavaClass c) {
                        return house(c).equals("wire") && !WIRE_DOOR.contains(outermost(c).getSimpleName());
                    }
                }).check(all);
    }

    @Test
    void onlyBindingsLinkAndReinterpret() {
        noClasses().that().resideOutsideOfPackage("isthmus.bindings..").should().dependOnClassesThat()
                .areAssignableTo(Linker.class)
                .check(all);
        noClasses().that().resideOutsideOfPackage("isthmus.bindings..").should().callMethodWhere(
                new DescribedPredicate<>("a segment is reinterpreted") {
                    @Override
                    public boolean test(com.tngtech.archunit.core.domain.JavaMethodCall call) {
                        return call.getTargetOwner().isAssignableTo(MemorySegment.class)
                                && call.getName().equals("reinterpret");
                    }
                }).check(all);
        assertTrue(
                all.stream()
                        .anyMatch(c -> c.getDirectDependenciesFromSelf().stream()
                                .anyMatch(d -> d.getTargetClass().isEquivalentTo(Linker.class))),
                "the rule proves nothing: nobody links");
    }

    @Test
    void theFederationServerNeedsNoTraining() {
        noClasses().that()
                .resideInAnyPackage("isthmus.wire..", "isthmus.server..", "isthmus.admin..", "isthmus.provision..",
                        "isthmus.client..")
                .should().dependOnClassesThat()
                .resideInAnyPackage("isthmus.backend..", "isthmus.graph..", "isthmus.train..", "isthmus.bindings..",
                        "ai.onnxruntime..")
                .check(all);
    }

    @Test
    void onlyTheCommandLineSpeaksOnStandardStreams() {
        noClasses().that().resideOutsideOfPackages("isthmus.cli..", "isthmus.report..").should(ACCESS_STANDARD_STREAMS)
                .check(all);
    }

    @Test
    void thereAreNoCyclesAndNobodyImportsBench() {
        slices().matching("isthmus.(**)").should().beFreeOfCycles().check(all);
        noClasses().should().dependOnClassesThat().resideInAPackage("isthmus.bench..").check(all);
    }

    /** A class's package below {@code isthmus}. */
    private static String house(JavaClass c) {
        String name = c.getPackageName();
        return name.startsWith("isthmus.") ? name.substring("isthmus.".length()) : name;
    }

    private static JavaClass outermost(JavaClass c) {
        return c.getEnclosingClass().map(ImportRulesTest::outermost).orElse(c);
    }

    private static DescribedPredicate<JavaClass> liveIn(String name) {
        return new DescribedPredicate<>("live in isthmus." + name) {
            @Override
            public boolean test(JavaClass c) { return c.getPackageName().equals("isthmus." + name); }
        };
    }

    private static Map<String, Set<String>> table(String text) {
        Map<String, Set<String>> table = new HashMap<>();
        text.lines().map(l -> l.split("->", 2)).forEach(l -> table.put(l[0].strip(),
                Arrays.stream(l[1].strip().split(" +")).filter(p -> !p.isEmpty())
                        .collect(Collectors.toUnmodifiableSet())));
        return table;
    }
}
