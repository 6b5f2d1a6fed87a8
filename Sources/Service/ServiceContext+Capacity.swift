// What the limits of a process let it serve, told once at its start, so that an operator sees it before
// it is reached.

import Logging

extension ServiceContext {
  /// - Parameter capacity: such as `750 connections`.
  public func tellCapacity(_ capacity: String) {
    log.info("can serve \(capacity)", metadata: ["limitNofile": "\(descriptorsMax)"])
  }
}
