// Fuzzes what lies in internal topics and in the opaque bytes of consumers: one byte chooses the
// structure, one its version, the rest is the structure. It must be refused or understood, and what
// is understood must survive encoding.
import FuzzSupport
import KafkaProtocol

private let structures: [any WireMessage.Type] =
  AllMessages.recordKeys + AllMessages.recordValues + AllMessages.data

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzRecord(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  let input = Array(UnsafeBufferPointer(start: data, count: count))
  guard input.count >= 2, Int(input[0]) < structures.count else { return 0 }
  let type = structures[Int(input[0])]
  _ = survivesEncoding(type, Array(input[2...]), version: Int16(input[1]))
  return 0
}
