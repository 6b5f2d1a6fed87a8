// How a process ends when it cannot go on: one line for the operator and an exit code that says
// whose turn it is. Our own bugs trap and are not listed here.

import IPC
import Linux

public enum ServiceFailure: Error, CustomStringConvertible {
  /// The command line or the configuration is wrong: exit code 100.
  case configuration(String)
  /// The system refused something: exit code 111.
  case system(String)
  /// A sibling broke the protocol between processes: exit code 102.
  case sibling(String)

  public init(_ error: Errno) { self = .system(error.description) }

  public var exitCode: Int32 {
    switch self {
    case .configuration: 100
    case .system: 111
    case .sibling: 102
    }
  }

  /// What the journal calls it.
  var kind: EventKind {
    switch self {
    case .configuration: .configurationRefused
    case .system: .systemRefused
    case .sibling: .siblingViolation
    }
  }

  public var description: String {
    switch self {
    case .configuration(let line), .system(let line), .sibling(let line): line
    }
  }
}
