// admin (the CLI) → coordinator: what Kafka's protocol has no request for.

import Model

public enum AdminToCoordinator: Message {
  /// Asks for the statistics of every process of the family, with so many of the busiest topics and
  /// connections of each.
  case status(busiest: UInt16)
}

public enum CoordinatorToAdmin: Message {
  /// All processes that answered in time, the coordinator among them.
  case status([ProcessStatistics])
}

extension AdminToCoordinator {
  public var kind: UInt16 { 1 }
  public var descriptorCount: Int { 0 }
  public func encode(into writer: inout MessageWriter) {
    switch self {
    case .status(let busiest): writer.put(busiest)
    }
  }

  public init(kind: UInt16, from reader: inout MessageReader) throws(MessageError) {
    guard kind == 1 else { throw MessageError("admin→coordinator has no message \(kind)") }
    self = .status(busiest: try reader.busiest())
  }
}

extension CoordinatorToAdmin {
  public var kind: UInt16 { 1 }
  public var descriptorCount: Int { 0 }

  public func encode(into writer: inout MessageWriter) {
    switch self {
    case .status(let processes):
      writer.put(list: processes) { process, writer in process.encode(into: &writer) }
    }
  }

  public init(kind: UInt16, from reader: inout MessageReader) throws(MessageError) {
    guard kind == 1 else { throw MessageError("coordinator→admin has no message \(kind)") }
    self = .status(
      try reader.list(minimumSize: ProcessStatistics.minimumSize) { reader throws(MessageError) in
        try ProcessStatistics(from: &reader)
      })
  }
}
