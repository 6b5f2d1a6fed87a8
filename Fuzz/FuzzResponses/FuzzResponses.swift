// Fuzzes what a server may send to our own client: one byte of API key, one of version, then the body
// of a response. It must be refused or understood, and what is understood must survive encoding.
import FuzzSupport
import KafkaProtocol

private let responses: [UInt8: any WireResponse.Type] = {
  var table: [UInt8: any WireResponse.Type] = [:]
  for type in AllMessages.responses { table[UInt8(type.apiKey.rawValue)] = type }
  return table
}()

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzResponse(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  let input = Array(UnsafeBufferPointer(start: data, count: count))
  guard input.count >= 2, let type = responses[input[0]] else { return 0 }
  _ = survivesEncoding(type, Array(input[2...]), version: Int16(input[1]))
  return 0
}
