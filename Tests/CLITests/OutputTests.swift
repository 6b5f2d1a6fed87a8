import Foundation
import Records
import Testing

@testable import CLI

@Suite struct RecordFormatTests {
  private static let record = Record(
    offset: 42, timestamp: 1_700_000_000_000, key: Array("k".utf8), value: [0xFF, 10, 0x41],
    headers: [
      RecordHeader(key: "a", value: Array("1".utf8)), RecordHeader(key: "b", value: nil),
    ])

  @Test(
    arguments: [
      ("%v", [0xFF, 10, 0x41]), ("%k=%o\\n", Array("k=42\n".utf8)),
      ("%t/%p", Array("topic/3".utf8)), ("%T\\t%h", Array("1700000000000\ta=1,b=".utf8)),
      ("%K %V", Array("1 3".utf8)), ("100%%\\\\\\0", Array("100%\\\0".utf8)), ("", []),
      ("é%k", Array("ék".utf8)),
    ] as [(String, [UInt8])])
  func prints(format: String, expected: [UInt8]) throws {
    var output: [UInt8] = []
    try RecordFormat(format).append(Self.record, topic: "topic", partition: 3, to: &output)
    #expect(output == expected)
  }

  @Test func aNullHasNoBytesAndTheLengthMinusOne() throws {
    var output: [UInt8] = []
    let record = Record(offset: 0, timestamp: 0, key: nil, value: nil)
    try RecordFormat("[%k|%v|%K|%V|%h]").append(record, topic: "t", partition: 0, to: &output)
    #expect(String(decoding: output, as: UTF8.self) == "[||-1|-1|]")
  }

  @Test(arguments: ["%", "%q", "\\", "\\x", "ok %v %"])
  func unknownSequencesAreRefused(format: String) {
    #expect(throws: RecordFormat.Unknown.self) { try RecordFormat(format) }
  }
}

@Suite struct FieldsTests {
  private func json(_ fields: Fields) throws -> [String: Any] {
    var bytes: [UInt8] = []
    fields.appendJSON(to: &bytes)
    return try #require(try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
  }

  @Test func jsonHoldsEveryText() throws {
    for text in ["", "plain", "\"\\/", "\u{0}\u{1}\u{1F}\u{7F}\n\r\t", "é€😀\u{2028}"] {
      var fields = Fields()
      fields.add(text, text)
      #expect(try json(fields)[text] as? String == text)
    }
  }

  @Test func bytesThatAreNoTextLoseNothing() throws {
    for count in 0...5 {
      let bytes = [UInt8](repeating: 0xFE, count: count)
      var fields = Fields()
      fields.add("value", bytes)
      let object = try json(fields)
      if count == 0 {
        #expect(object["value"] as? String == "")
      } else {
        #expect(object["value"] == nil)
        let text = try #require(object["valueBase64"] as? String)
        #expect(Data(base64Encoded: text) == Data(bytes))
      }
    }
  }

  @Test func nested() throws {
    var inner = Fields()
    inner.add("flag", true)
    inner.add("nothing", .null)
    var fields = Fields()
    fields.add("list", .list([.number(-1), .fields(inner), .text("x")]))
    fields.add("big", Int64.max)
    var bytes: [UInt8] = []
    fields.appendJSON(to: &bytes)
    #expect(
      String(decoding: bytes, as: UTF8.self)
        == #"{"list":[-1,{"flag":true,"nothing":null},"x"],"big":9223372036854775807}"#)
    #expect(fields.text == "list: [-1, {flag: true}, x] big: 9223372036854775807")
  }

  @Test func whatIsPrintedCannotSteerATerminal() {
    #expect(Fields.printable(Array("a\u{1B}[2Jb\n\u{9B}é".utf8)) == "a\\x1b[2Jb\\x0a\\xc2\\x9bé")
    #expect(Fields.printable([0x41, 0xFF, 0x07]) == "A\\xff\\x07")
  }
}
