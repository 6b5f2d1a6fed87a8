// Bytes that are not Kafka's protocol: the rule they broke, in the words of Kafka's log line, and
// what they are when that can be told from the first of them.

/// Why a connection is closed on its first bad bytes.
struct InvalidReceive: CustomStringConvertible {
  let size: Int32
  let sizeMax: Int
  /// Another protocol that the bytes belong to.
  let protocolName: String?

  init(size: Int32, sizeMax: Int, bytes: UnsafeRawBufferPointer) {
    self.size = size
    self.sizeMax = sizeMax
    protocolName = Self.recognise(bytes)
  }

  var description: String {
    var text = "invalid receive (size = \(size)"
    if Int(size) > sizeMax { text += " larger than \(sizeMax)" }
    text += ")"
    if let protocolName { text += ": \(protocolName)" }
    return text
  }

  private static func recognise(_ bytes: UnsafeRawBufferPointer) -> String? {
    guard bytes.count >= 4 else { return nil }
    // A TLS record: handshake (22), version 3.x.
    if bytes[0] == 0x16, bytes[1] == 0x03 { return "TLS handshake on a plaintext listener" }
    let text = String(decoding: bytes.prefix(4), as: UTF8.self)
    let methods = ["GET ", "POST", "HEAD", "PUT ", "DELE", "OPTI", "CONN", "PATC", "PRI "]
    if methods.contains(text) { return "HTTP request" }
    if text == "SSH-" { return "SSH" }
    return nil
  }
}
