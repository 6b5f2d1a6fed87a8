// The configuration as every program of the family loads it: the file's text, then the overrides.

import Configuration
import Linux

extension BrokerConfiguration {
  /// Reads `file` (nil: none) and checks everything.
  /// - Throws: `.configuration` naming file, line, key, value and what is allowed.
  public static func load(path: String?, overrides: [String]) throws(ServiceFailure)
    -> BrokerConfiguration
  {
    var file: (name: String, text: String)?
    if let path {
      let bytes: [UInt8]
      do { bytes = try File.contents(path) } catch {
        throw .configuration("the configuration cannot be read: \(error)")
      }
      guard let text = String(validating: bytes, as: UTF8.self) else {
        throw .configuration("\(path): not UTF-8 text")
      }
      file = (path, text)
    }
    do { return try load(file: file, overrides: overrides) } catch {
      throw .configuration(error.description)
    }
  }
}
