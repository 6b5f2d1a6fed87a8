// What the coordinator's work needs from the outside, as protocols: the process implements them with
// sockets, timers and clocks, tests with nothing of the kind.

import IPC
import KafkaProtocol
import Model
import Service

/// Answers to clients.
protocol ReplyPort: AnyObject {
  /// Sends the response of the request that `reply` belongs to.
  func answer<Response: WireResponse>(_ response: Response, to reply: Reply)
  /// The request could not be understood: the connection is to be closed.
  func refuse(_ reply: Reply, _ reason: String)
}

/// Deadlines.
protocol TimerPort: AnyObject {
  /// Calls `body` once, `afterMs` from now.
  func after(_ afterMs: Int64, _ body: @escaping () -> Void) -> TimerID
  /// Takes a deadline back; one that is over is ignored.
  func cancel(_ timer: TimerID)
}

/// The wall clock, for times that leave the process.
protocol ClockPort: AnyObject {
  /// Milliseconds since 1970.
  var wallMs: Int64 { get }
}

/// The way to the logwriter.
protocol LogWriterPort: AnyObject {
  /// False when the link is or has just been lost; its loss is reported separately.
  func send(_ message: CoordinatorToLogWriter) -> Bool
}

/// The way to everyone who holds a metadata image.
protocol ImagePort: AnyObject {
  /// Queues the update to every subscriber, before anything that is sent later.
  func publish(_ update: ImageUpdate)
}

/// The way to every process of the broker that acts on its configuration, this one included.
protocol ConfigurationPort: AnyObject {
  /// Has all that are there follow, before anything that is sent later; who comes later is told
  /// first.
  func configure(_ dynamic: DynamicBrokerConfigs)
}

/// The scoreboard of the logwriter that is there.
protocol ScoreboardPort: AnyObject {
  /// nil when the place was given up or there is no scoreboard.
  func entry(_ ref: SlotRef) -> ScoreboardEntry?
}
