import AlulaTraining
import Foundation
import Testing

@Suite struct RecipeTests {
    @Test(arguments: Recipe.builtIn.map(\.name)) func builtInRecipesReadBack(name: String) throws {
        let recipe = try #require(Recipe.named(name))
        #expect(try Recipe(json: Array(recipe.fileText.utf8)) == recipe)
        #expect(try Recipe(json: Array(recipe.json.text.utf8)) == recipe)
    }

    @Test func thePapersRecipeIsWhatItSays() throws {
        let recipe = try #require(Recipe.named("ecg-paper"))
        #expect(recipe.optimizer == .adam && recipe.rate == 1e-4 && recipe.schedule == .step)
        #expect(recipe.earlyStop > 0 && recipe.monitor == .loss && recipe.noise > 0 && recipe.scaling > 0)
    }

    @Test func absentKeysKeepTheirDefaults() throws {
        var expected = Recipe()
        (expected.rate, expected.flip, expected.freeze) = (0.5, true, ["stem", "stages.0"])
        #expect(try Recipe(json: Array(#"{"lr":0.5,"flip":true,"freeze":["stem","stages.0"]}"#.utf8)) == expected)
    }

    /// Every key can be written, set by its word, and read again: a key that is bound to another one's value shows.
    @Test func everyKeySetsOnlyItself() throws {
        let words: [String: String] = [
            "beta1": "0.5", "beta2": "0.5", "monitor": "loss", "optimizer": "sgd", "schedule": "plateau",
            "loss": "focal", "freeze": "a,b",
        ]
        for field in Recipe.fields {
            var recipe = Recipe()
            let before = try #require(recipe.text(field.key))
            let word = words[field.key] ?? (before == "false" ? "true" : before == "1" || before == "0" ? "" : "1")
            let chosen =
                word.isEmpty
                ? (field.allowed.contains("whole") ? (before == "1" ? "2" : "1") : before == "1" ? "0.5" : "0.25")
                : word
            try recipe.set(field.key, chosen)
            #expect(recipe.text(field.key) != before, "\(field.key)")
            for other in Recipe.fields where other.key != field.key {
                #expect(recipe.text(other.key) == Recipe().text(other.key), "\(field.key) changed \(other.key)")
            }
        }
    }

    @Test func hyphensStandForUnderscores() throws {
        var recipe = Recipe()
        try recipe.set("weight-decay", "0.125")
        #expect(recipe.weightDecay == 0.125)
    }

    @Test func wrongKeysAndValuesAreNamed() {
        var recipe = Recipe()
        #expect(throws: RecipeError.unknownKey("learning_rate")) { try recipe.set("learning_rate", "1") }
        #expect(throws: RecipeError.self) { try recipe.set("epochs", "0") }
        #expect(throws: RecipeError.self) { try recipe.set("epochs", "1.5") }
        #expect(throws: RecipeError.self) { try recipe.set("lr", "nan") }
        #expect(throws: RecipeError.self) { try recipe.set("optimizer", "lion") }
        #expect(throws: RecipeError.notJSON) { try Recipe(json: Array("[1]".utf8)) }
        #expect(throws: RecipeError.self) { try Recipe(json: Array(#"{"epochs":"10"}"#.utf8)) }
        #expect(throws: RecipeError.unknownKey("epoch")) { try Recipe(json: Array(#"{"epoch":10}"#.utf8)) }
        #expect(recipe == Recipe())
    }

    @Test func theUsersPageNamesEveryKeyAndRecipe() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let page = try String(contentsOf: root.appendingPathComponent("docs/training.md"), encoding: .utf8)
        for field in Recipe.fields { #expect(page.contains("`\(field.key)`"), "\(field.key)") }
        for recipe in Recipe.builtIn { #expect(page.contains("`\(recipe.name)`"), "\(recipe.name)") }
    }
}
