import AlulaGraph

/// The table from names to tensors in what a training script saved.
struct StateDictionary {
    /// Where scripts keep it, the averaged weights first, as timm prefers them.
    static let keys = ["state_dict_ema", "model_ema", "state_dict", "model", "module", "net", "network", "params"]
    /// What wrappers of PyTorch put in front of every name.
    private static let wrappers = ["module.", "_orig_mod."]

    /// Names and numbers of tensors.
    private(set) var tensors: [(name: String, tensor: Int)]
    /// The key it was found under, and others that hold tensors too.
    private(set) var key: String?
    private(set) var otherKeys: [String] = []

    /// nil where there is none.
    init?(_ root: PickleValue, _ pickle: PickleReader) {
        guard case .dictionary(let index) = root else { return nil }
        let entries = StateDictionary.entries(index, pickle)
        tensors = StateDictionary.tensors(entries)
        if tensors.isEmpty {
            for key in StateDictionary.keys {
                // The last entry of a name counts, as in Python.
                guard case .dictionary(let inner)? = entries.last(where: { $0.name == key })?.value else { continue }
                let found = StateDictionary.tensors(StateDictionary.entries(inner, pickle))
                if found.isEmpty { continue }
                if self.key == nil { (tensors, self.key) = (found, key) } else { otherKeys.append(key) }
            }
        }
        if tensors.isEmpty { return nil }
        for wrapper in StateDictionary.wrappers where tensors.allSatisfy({ $0.name.hasPrefix(wrapper) }) {
            for place in tensors.indices { tensors[place].name.removeFirst(wrapper.count) }
        }
    }

    private static func entries(_ dictionary: Int, _ pickle: PickleReader) -> [(name: String, value: PickleValue)] {
        pickle.dictionaries[dictionary].compactMap { entry in
            guard case .text(let index) = entry.key else { return nil }
            return (pickle.texts[index], entry.value)
        }
    }

    private static func tensors(_ entries: [(name: String, value: PickleValue)]) -> [(name: String, tensor: Int)] {
        var places: [String: Int] = [:]
        var tensors: [(name: String, tensor: Int)] = []
        for entry in entries {
            guard case .tensor(let tensor) = entry.value else { continue }
            if let place = places[entry.name] {
                tensors[place].tensor = tensor
            } else {
                places[entry.name] = tensors.count
                tensors.append((entry.name, tensor))
            }
        }
        return tensors
    }
}
