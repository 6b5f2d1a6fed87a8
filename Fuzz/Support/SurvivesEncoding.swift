// The property that the fuzz targets of the wire protocol hold: bytes are refused, or understood in a
// way that encoding and decoding again does not change. A broken property is a trap, which libFuzzer
// reports with the input that caused it.
import KafkaProtocol

/// Whether `bytes` are understood.
public func survivesEncoding<M: WireMessage>(
  _ type: M.Type, _ bytes: [UInt8], version: Int16
) -> Bool {
  guard let once = roundTrip(type, bytes, version) else { return false }
  guard let twice = roundTrip(type, once, version) else {
    preconditionFailure("\(type.messageName): the encoder's own bytes are refused")
  }
  precondition(once == twice)
  return true
}

/// Decodes, encodes and fills in the records; nil when the bytes are refused.
private func roundTrip<M: WireMessage>(
  _ type: M.Type, _ bytes: [UInt8], _ version: Int16
) -> [UInt8]? {
  guard let value = try? M(decoding: bytes, version: version) else { return nil }
  var writer = WireWriter()
  do { try value.write(to: &writer, version: version) } catch {
    preconditionFailure("\(type.messageName): decoded, but \(error)")
  }
  var result: [UInt8] = []
  var position = 0
  for gap in writer.gaps {
    result += writer.bytes[position..<gap.position]
    if let place = gap.source { result += bytes[place.range] }
    position = gap.position
  }
  return result + writer.bytes[position...]
}
