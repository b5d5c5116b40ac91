extension String {
    /// Whether a message is one line that can be shown.
    package var isPlainMessage: Bool { !isEmpty && unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F } }
}
