// Floats in graph text: the shortest decimal that reads back as the same float, without a C library.

/// Powers of ten that a Double holds exactly.
private let exactPowers: [Double] = [
    1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
]

private func scaled(_ value: Double, byPowerOfTen exponent: Int) -> Double {
    var result = value
    var rest = exponent
    while rest > 0 {
        let step = min(rest, 22)
        result *= exactPowers[step]
        rest -= step
    }
    while rest < 0 {
        let step = min(-rest, 22)
        result /= exactPowers[step]
        rest += step
    }
    return result
}

/// The shortest decimal that `parseDecimal` reads back as exactly `value`; `0x` and eight hexadecimal digits of the bit pattern
/// in the rare case that no decimal of nine digits does, and for values that are not finite.
package func decimal(_ value: Float) -> String {
    if value == 0 { return value.sign == .minus ? "-0" : "0" }
    guard value.isFinite else { return hexadecimal(value.bitPattern) }
    let magnitude = Double(value.magnitude)
    // magnitude = digits * 10^(exponent - count + 1) with 1 <= leading digit <= 9
    var exponent = 0
    while scaled(magnitude, byPowerOfTen: -exponent) >= 10 { exponent += 1 }
    while scaled(magnitude, byPowerOfTen: -exponent) < 1 { exponent -= 1 }
    for count in 1...9 {
        let digits = UInt64(scaled(magnitude, byPowerOfTen: count - 1 - exponent).rounded())
        let text = (value < 0 ? "-" : "") + layOut(digits: digits, exponent: exponent - count + 1)
        if parseDecimal(text) == value { return text }
    }
    return hexadecimal(value.bitPattern)
}

/// digits * 10^exponent, plain between 1e-6 and 1e9 and in scientific notation beyond.
private func layOut(digits: UInt64, exponent: Int) -> String {
    var (digits, exponent) = (digits, exponent)
    while digits % 10 == 0 && digits > 0 {
        digits /= 10
        exponent += 1
    }
    let text = String(digits)
    let leading = text.utf8.count + exponent  // digits before the decimal point
    if exponent >= 0, leading <= 9 { return text + String(repeating: "0", count: exponent) }
    if exponent < 0, leading > -5 {
        if leading <= 0 { return "0." + String(repeating: "0", count: -leading) + text }
        return String(text.prefix(leading)) + "." + String(text.dropFirst(leading))
    }
    let mantissa = text.utf8.count == 1 ? text : String(text.prefix(1)) + "." + String(text.dropFirst(1))
    return mantissa + "e" + String(leading - 1)
}

private func hexadecimal(_ bits: UInt32) -> String {
    let text = String(bits, radix: 16)
    return "0x" + String(repeating: "0", count: 8 - text.utf8.count) + text
}

/// Reads `[-]digits[.digits][e[-]digits]` or `0x` and a bit pattern; nil for anything else, for infinities and for NaN.
package func parseDecimal(_ text: String) -> Float? {
    var bytes = Array(text.utf8)[...]
    if bytes.starts(with: [0x30, 0x78]) {
        guard let bits = UInt32(text.dropFirst(2), radix: 16) else { return nil }
        let value = Float(bitPattern: bits)
        return value.isFinite ? value : nil
    }
    var negative = false
    if bytes.first == UInt8(ascii: "-") {
        negative = true
        bytes.removeFirst()
    }
    var digits: UInt64 = 0
    var exponent = 0
    var count = 0
    var seenPoint = false
    while let byte = bytes.first, byte == UInt8(ascii: ".") || (0x30...0x39).contains(byte) {
        bytes.removeFirst()
        if byte == UInt8(ascii: ".") {
            guard !seenPoint else { return nil }
            seenPoint = true
            continue
        }
        count += 1
        // Digits beyond the eighteenth cannot change a float; only their place counts.
        if digits < 100_000_000_000_000_000 {
            digits = digits * 10 + UInt64(byte - 0x30)
            if seenPoint { exponent -= 1 }
        } else if !seenPoint {
            exponent += 1
        }
    }
    guard count > 0 else { return nil }
    if let byte = bytes.first {
        guard byte == UInt8(ascii: "e") || byte == UInt8(ascii: "E") else { return nil }
        guard let written = Int(String(decoding: bytes.dropFirst(), as: UTF8.self)), abs(written) < 400 else {
            return nil
        }
        exponent += written
    }
    guard exponent > -400, exponent < 400 else { return nil }
    let value = Float(scaled(Double(digits), byPowerOfTen: exponent))
    guard value.isFinite else { return nil }
    return negative ? -value : value
}
