/// An electrocardiogram: leads sampled together, in millivolts.
public struct ECGRecording: Sendable, Equatable {
    /// As the file spells them; `lead(_:)` ignores case.
    public var leads: [String]
    /// Samples a second.
    public var rate: Double
    /// By lead, equally long; NaN where nothing was measured.
    public var samples: [[Double]]

    /// The twelve leads in the order of PTB-XL and of the PhysioNet Challenges.
    public static let twelveLeads = [
        "I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6",
    ]

    public init(leads: [String], rate: Double, samples: [[Double]]) {
        precondition(leads.count == samples.count, "a lead without samples")
        (self.leads, self.rate, self.samples) = (leads, rate, samples)
    }

    /// The signals of a WFDB record. Those with several samples a frame keep them all where every signal has as many, and are averaged
    /// where not.
    public init(_ record: WFDBRecord) {
        let widths = Set(record.signals.map(\.samplesPerFrame))
        let width = widths.count == 1 ? widths.first! : 1
        leads = record.signals.map(\.name)
        rate = record.header.frameRate * Double(width)
        samples = record.signals.map { signal in
            let values = width == signal.samplesPerFrame ? signal.physical : signal.physicalFrames
            let scale = ECGRecording.millivolts(signal.units)
            return scale == 1 ? values : values.map { $0 * scale }
        }
    }

    public init(contentsOf path: String, limits: WFDBLimits = .standard) throws(WFDBError) {
        self.init(try WFDBRecord(contentsOf: path, limits: limits))
    }

    /// Millivolts a unit; units that are no voltage count as they are.
    private static func millivolts(_ units: String) -> Double {
        switch units.lowercased() {
        case "uv", "µv", "μv": 1e-3
        case "v": 1e3
        default: 1
        }
    }

    public var count: Int { samples.first?.count ?? 0 }

    /// The samples of a lead, whatever the case of its letters.
    public func lead(_ name: String) -> [Double]? {
        let wanted = ECGRecording.canonical(name)
        return leads.firstIndex { ECGRecording.canonical($0) == wanted }.map { samples[$0] }
    }

    /// The samples of a lead; a limb lead that is not there comes from two others by Einthoven's and Goldberger's relations.
    public func leadOrDerived(_ name: String) -> [Double]? {
        if let samples = lead(name) { return samples }
        guard let (first, second) = limbLeads else { return nil }
        let (a, b): (Double, Double)
        switch ECGRecording.canonical(name) {
        case "i": (a, b) = (1, 0)
        case "ii": (a, b) = (0, 1)
        case "iii": (a, b) = (-1, 1)
        case "avr": (a, b) = (-0.5, -0.5)
        case "avl": (a, b) = (1, -0.5)
        case "avf": (a, b) = (-0.5, 1)
        default: return nil
        }
        return zip(first, second).map { a * $0 + b * $1 }
    }

    /// Leads I and II, of which III may be one's source: II = I + III.
    private var limbLeads: ([Double], [Double])? {
        switch (lead("I"), lead("II"), lead("III")) {
        case (let first?, let second?, _): (first, second)
        case (let first?, nil, let third?): (first, zip(first, third).map { $0 + $1 })
        case (nil, let second?, let third?): (zip(second, third).map { $0 - $1 }, second)
        default: nil
        }
    }

    /// The form in which names are compared: small letters, without `lead` and `ECG` in front.
    static func canonical(_ name: String) -> String {
        var text = Substring(name.lowercased())
        for prefix in ["ecg ", "ecg_", "lead ", "lead_"] where text.hasPrefix(prefix) {
            text = text.dropFirst(prefix.count)
        }
        return trimmed(text)
    }
}
