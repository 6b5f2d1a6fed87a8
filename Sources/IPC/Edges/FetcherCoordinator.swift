// fetcher → coordinator: the metadata image. A fetcher needs it to turn topic ids and names into
// slots.

import Model

public enum FetcherToCoordinator: Message {
  /// Answer to `reportStatistics`.
  case statistics(ProcessStatistics)
}

public enum CoordinatorToFetcher: Message {
  case image(ImageUpdate)
  /// Asks for `statistics`, with so many of the busiest topics and connections.
  case reportStatistics(busiest: UInt16)
  /// What was set for the broker at run time, whole. First message, and whenever it changes.
  case configureBroker(DynamicBrokerConfigs)
}

extension FetcherToCoordinator {
  public var kind: UInt16 { 1 }
  public var descriptorCount: Int { 0 }

  public func encode(into writer: inout MessageWriter) {
    switch self {
    case .statistics(let statistics): statistics.encode(into: &writer)
    }
  }

  public init(kind: UInt16, from reader: inout MessageReader) throws(MessageError) {
    guard kind == 1 else { throw MessageError("fetcher→coordinator has no message \(kind)") }
    self = .statistics(try ProcessStatistics(from: &reader))
  }
}

extension CoordinatorToFetcher {
  public var kind: UInt16 {
    switch self {
    case .image: 1
    case .reportStatistics: 2
    case .configureBroker: 3
    }
  }

  public var descriptorCount: Int { 0 }

  public func encode(into writer: inout MessageWriter) {
    switch self {
    case .image(let update): update.encode(into: &writer)
    case .reportStatistics(let busiest): writer.put(busiest)
    case .configureBroker(let dynamic): dynamic.encode(into: &writer)
    }
  }

  public init(kind: UInt16, from reader: inout MessageReader) throws(MessageError) {
    switch kind {
    case 1: self = .image(try ImageUpdate(from: &reader))
    case 2: self = .reportStatistics(busiest: try reader.busiest())
    case 3: self = .configureBroker(try DynamicBrokerConfigs(from: &reader))
    default: throw MessageError("coordinator→fetcher has no message \(kind)")
    }
  }
}
