// The syntax of properties files, case by case as java.util.Properties reads it.

import Testing

@testable import Configuration

@Suite struct PropertiesTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let text: String
    let expected: [String: String]
    var testDescription: String { text.debugDescription }
  }

  static let cases: [Case] = [
    Case(text: "", expected: [:]),
    Case(text: "a=b", expected: ["a": "b"]),
    Case(text: "a:b", expected: ["a": "b"]),
    Case(text: "a b", expected: ["a": "b"]),
    Case(text: "a\tb", expected: ["a": "b"]),
    Case(text: "a", expected: ["a": ""]),
    Case(text: "a=", expected: ["a": ""]),
    Case(text: "  a  =  b  ", expected: ["a": "b  "]),
    Case(text: "a = = b", expected: ["a": "= b"]),
    Case(text: "a  : b", expected: ["a": "b"]),
    Case(text: "a  b=c", expected: ["a": "b=c"]),
    Case(text: "a=b\r\nc=d\re=f\n", expected: ["a": "b", "c": "d", "e": "f"]),
    Case(text: "# x=1\n! y=2\n   # z=3\n\n \t\n", expected: [:]),
    Case(text: "a=b#c", expected: ["a": "b#c"]),
    Case(text: "a=b \\\n   c", expected: ["a": "b c"]),
    Case(text: "a\\\nb=c", expected: ["ab": "c"]),
    Case(text: "a=b\\\\\nc=d", expected: ["a": "b\\", "c": "d"]),
    Case(text: "a=b\\\\\\\nc", expected: ["a": "b\\c"]),
    Case(text: "a=b\\", expected: ["a": "b"]),
    Case(text: "a=b\\\n# c", expected: ["a": "b# c"]),
    Case(text: "# a\\\nb=c", expected: ["b": "c"]),
    Case(text: "a\\=b\\:c\\ d=e", expected: ["a=b:c d": "e"]),
    Case(text: "a=\\t\\n\\r\\f\\q\\\"", expected: ["a": "\t\n\r\u{C}q\""]),
    Case(text: "a=\\u0041\\u00e9\\u20AC", expected: ["a": "Aé€"]),
    Case(text: "a=\\ud83d\\ude00!", expected: ["a": "😀!"]),
    Case(text: "a=é€", expected: ["a": "é€"]),
    Case(text: "a=1\na=2", expected: ["a": "2"]),
    Case(text: "=b", expected: ["": "b"]),
    Case(text: "\\u0061=b", expected: ["a": "b"]),
  ]

  @Test(arguments: cases)
  func parses(_ sample: Case) throws {
    var found: [String: String] = [:]
    for property in try Properties.parse(sample.text, file: "f") {
      found[property.name] = property.value
    }
    #expect(found == sample.expected)
  }

  @Test func linesAreCountedAsTheyStandInTheFile() throws {
    let text = "a=1\r\n\n# c\nb=2\\\n  3\\\n  4\nc=5"
    let lines = try Properties.parse(text, file: "f").map { [$0.name: $0.line] }
    #expect(lines == [["a": 1], ["b": 4], ["c": 7]])
  }

  @Test(arguments: [
    ("x=1\na=\\u12", "s:2: \\u is not followed by four hexadecimal digits"),
    ("a=\\u12G4", "s:1: \\u is not followed by four hexadecimal digits"),
    ("a=\\u+123", "s:1: \\u is not followed by four hexadecimal digits"),
    ("a=\\ud83d!", "s:1: \\u gives half of a surrogate pair"),
    ("a=\\ude00", "s:1: \\u gives half of a surrogate pair"),
  ])
  func refuses(text: String, message: String) {
    #expect(throws: ConfigurationError.self) { try Properties.parse(text, file: "s") }
    do throws(ConfigurationError) { _ = try Properties.parse(text, file: "s") } catch {
      #expect(error.description == message)
    }
  }

  /// Any text gives properties or an error.
  @Test func anyTextNeverTraps() {
    let seed = UInt64.random(in: 0...UInt64.max)
    var state = seed
    func next(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    let alphabet = Array("ab\\\\\\u0041=: \t\n\r#!é😀")
    for _ in 0..<5_000 {
      let text = String((0..<next(24)).map { _ in alphabet[next(alphabet.count)] })
      let result = Result { try Properties.parse(text, file: "f") }
      if case .success(let properties) = result {
        #expect(properties.count <= text.utf8.count, "seed \(seed)")
      }
    }
  }
}
