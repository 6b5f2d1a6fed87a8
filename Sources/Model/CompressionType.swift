// How a record batch is compressed and what its timestamps mean: words that records, codecs,
// configuration and the protocol share.

/// The codec of a record batch's records. The raw value is bits 0 to 2 of the batch's attributes.
public enum CompressionType: UInt8, Hashable, Sendable, CaseIterable {
  case none = 0
  case gzip = 1
  case snappy = 2
  case lz4 = 3
  case zstd = 4

  /// Kafka's name of it, as in `compression.type`.
  public var name: String {
    switch self {
    case .none: "none"
    case .gzip: "gzip"
    case .snappy: "snappy"
    case .lz4: "lz4"
    case .zstd: "zstd"
    }
  }

  /// The type of that name, or nil.
  public init?(name: String) {
    guard let type = Self.allCases.first(where: { $0.name == name }) else { return nil }
    self = type
  }
}

/// Who set a record's timestamp. The raw value is bit 3 of the batch's attributes.
public enum TimestampType: UInt8, Hashable, Sendable, CaseIterable {
  case createTime = 0
  case logAppendTime = 1

  /// Kafka's name of it, as in `message.timestamp.type`.
  public var name: String {
    switch self {
    case .createTime: "CreateTime"
    case .logAppendTime: "LogAppendTime"
    }
  }

  /// The type of that name, or nil.
  public init?(name: String) {
    guard let type = Self.allCases.first(where: { $0.name == name }) else { return nil }
    self = type
  }
}
