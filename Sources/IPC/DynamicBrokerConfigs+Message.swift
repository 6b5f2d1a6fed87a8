// How what was set for the broker at run time travels: all of it, every time. Two lists of names
// and texts, for all brokers and for this one, each in order of the names.

import Model

extension DynamicBrokerConfigs {
  func encode(into writer: inout MessageWriter) {
    for scope in [DynamicConfigScope.clusterWide, .perBroker] {
      writer.put(list: self[scope].sorted { $0.key < $1.key }) { config, writer in
        writer.put(config.key)
        writer.put(bytes: Array(config.value.utf8))
      }
    }
  }

  init(from reader: inout MessageReader) throws(MessageError) {
    self.init()
    for scope in [DynamicConfigScope.clusterWide, .perBroker] {
      let configs = try reader.list(minimumSize: 6) { reader throws(MessageError) in
        (name: try reader.string(), text: try reader.byteString())
      }
      for (name, bytes) in configs {
        guard let text = String(validating: bytes, as: UTF8.self) else {
          throw MessageError("the value of \(name) is not UTF-8")
        }
        guard self[scope].updateValue(text, forKey: name) == nil else {
          throw MessageError("\(name) is there twice")
        }
      }
    }
  }
}
