// The command line that every daemon of the family has, the same for all.

import IPC

public struct ServiceOptions: Equatable, Sendable {
  /// `--config FILE`: server.properties.
  public var configFile: String?
  /// `--override name=value`, in order.
  public var overrides: [String] = []
  /// `--runtime-directory DIR`: where the family's sockets are.
  public var runtimeDirectory = "/run/sluice"
  /// `--instance N`: this process among those of its role.
  public var instance: UInt32 = 1
  /// `--peers ROLE=USER,…`: who may connect as what; see `PeerPolicy`.
  public var peers: [String] = []

  public init() {}

  public enum Parsed {
    case options(ServiceOptions)
    /// `--help` or `--version`: print this and exit with 0.
    case answer(String)
  }

  /// Parses the arguments after the program's name.
  public static func parse(_ arguments: [String], role: Role) throws(ServiceFailure) -> Parsed {
    var options = ServiceOptions()
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      let (name, inline) = split(argument)
      func value() throws(ServiceFailure) -> String {
        if let inline { return inline }
        guard let next = rest.popFirst() else {
          throw .configuration("\(name) needs a value; see --help")
        }
        return next
      }
      switch name {
      case "--config": options.configFile = try value()
      case "--override": options.overrides.append(try value())
      case "--runtime-directory": options.runtimeDirectory = try value()
      case "--peers": options.peers.append(try value())
      case "--instance":
        let text = try value()
        guard let number = UInt32(text), number > 0 else {
          throw .configuration("--instance is a number from 1 on, not '\(text)'")
        }
        options.instance = number
      case "--help", "-h": return .answer(help(role))
      case "--version": return .answer("sluice-\(role) \(Version.text)")
      default: throw .configuration("unknown option '\(argument)'; see --help")
      }
    }
    return .options(options)
  }

  private static func split(_ argument: String) -> (name: String, value: String?) {
    guard argument.hasPrefix("--"), let equals = argument.firstIndex(of: "=") else {
      return (argument, nil)
    }
    return (String(argument[..<equals]), String(argument[argument.index(after: equals)...]))
  }

  private static func help(_ role: Role) -> String {
    """
    sluice-\(role): the \(role) of a Sluice broker. Started by systemd or by `sluice up`, which pass
    its listening sockets (LISTEN_FDS, sd_listen_fds(3)).

      --config FILE              Kafka's server.properties syntax
      --override NAME=VALUE      sets one property, after the file; may be repeated
      --runtime-directory DIR    where the family's sockets are (/run/sluice)
      --instance N               number of this \(role), from 1 (1)
      --peers ROLE=USER,…        users that may connect as a role; may be repeated
                                 (root and the user of this process)
      --version                  prints the version
      --help                     prints this

    Exit codes: 0 stopped on request, 100 wrong configuration, 102 a sibling broke the protocol,
    111 the system refused something.
    """
  }
}
