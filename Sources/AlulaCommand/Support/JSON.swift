import AlulaData

typealias JSON = AlulaData.JSON
