import AlulaData
import AlulaGraph

/// A training run in one file: a safetensors container with parameters, statistics, the optimizer's means and averaged weights, and
/// recipe, seed and place in its metadata.
package struct TrainingCheckpoint {
    package var recipe: Recipe
    package var state: TrainingState
    /// What the run trains and on what, so that it goes on with nothing else; see `RunIdentity`.
    package var identity: String
    package var tensors: [Tensor]

    package struct Tensor {
        package var name: String
        package var shape: [Int]
        package var values: [Float]

        package init(_ name: String, _ shape: [Int], _ values: [Float]) {
            (self.name, self.shape, self.values) = (name, shape, values)
        }
    }

    package init(recipe: Recipe, state: TrainingState, identity: String, tensors: [Tensor]) {
        (self.recipe, self.state, self.identity, self.tensors) = (recipe, state, identity, tensors)
    }

    private enum Key {
        static let version = "alula.training"
        static let recipe = "alula.recipe"
        static let state = "alula.state"
        static let identity = "alula.identity"
    }

    private static let version = "1"

    /// Writes the file; it appears whole or not at all.
    package func write(to path: String) throws {
        var writer = SafetensorsWriter()
        do throws(SafetensorsWriteError) {
            try writer.addMetadata(Key.version, TrainingCheckpoint.version)
            try writer.addMetadata(Key.recipe, recipe.json.text)
            try writer.addMetadata(Key.state, state.json.text)
            try writer.addMetadata(Key.identity, identity)
            for tensor in tensors {
                try writer.add(tensor.name, .f32, tensor.shape, TensorData(elements: tensor.values))
            }
            try writer.write(to: path)
        } catch { throw TrainingFileError(path, error.message) }
    }

    package init(contentsOf path: String) throws {
        let file: SafetensorsFile
        do throws(SafetensorsError) { file = try SafetensorsFile(mapping: path) } catch {
            throw TrainingFileError(path, error.message)
        }
        guard let version = file.metadata(Key.version) else {
            throw TrainingFileError(path, "is no checkpoint of a training run")
        }
        guard version == TrainingCheckpoint.version else {
            throw TrainingFileError(
                path, "has the version \(version), this program reads \(TrainingCheckpoint.version)")
        }
        guard let recipe = file.metadata(Key.recipe),
            let state = file.metadata(Key.state).flatMap({ TrainingState(json: $0) }),
            let identity = file.metadata(Key.identity)
        else { throw TrainingFileError(path, "does not say where its run is") }
        do throws(RecipeError) { self.recipe = try Recipe(json: Array(recipe.utf8)) } catch {
            throw TrainingFileError(path, error.message)
        }
        (self.state, self.identity) = (state, identity)
        tensors = []
        for entry in file.tensors {
            guard entry.dataType == .f32 else {
                throw TrainingFileError(path, "tensor \(entry.name) holds \(entry.dataType.name) numbers, not f32")
            }
            tensors.append(Tensor(entry.name, entry.shape, file.data(of: entry).array(of: Float.self)))
        }
    }
}
