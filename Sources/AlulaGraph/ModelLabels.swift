extension ModelFile {
    /// The names of the classes by index, from `alula.labels`; empty where the model has none.
    public func labels() throws(JSONError) -> [String] {
        guard let text = metadata[Key.labels] else { return [] }
        return try ModelFile.strings(ofJSON: text)
    }

    /// The elements of a JSON array of strings.
    package static func strings(ofJSON text: String) throws(JSONError) -> [String] {
        try Array(text.utf8).withUnsafeBufferPointer { (bytes) throws(JSONError) in
            var reader = JSONReader(UnsafeRawBufferPointer(bytes))
            var strings: [String] = []
            try reader.beginArray()
            while try reader.nextElement() { strings.append(try reader.string()) }
            try reader.finish()
            return strings
        }
    }
}
