// InitProducerId for idempotent producers. Transactional ids are refused until transactions exist.

import KafkaProtocol
import Logging
import Model
import Service

enum InitProducerIdApi {
  static func handle(
    _ request: InitProducerIdRequest, _ context: RequestContext, _ broker: Broker
  ) {
    if let transactionalId = request.transactionalId {
      // An empty id is a mistake of the client.
      return answer(
        transactionalId.isEmpty ? .invalidRequest : .unsupportedVersion, -1, context, broker)
    }
    if (request.producerId < 0) != (request.producerEpoch < 0) {
      return answer(.invalidRequest, -1, context, broker)
    }
    // Without a transactional id a producer always gets a new id, as in Kafka.
    broker.producerIds.take { result in
      switch result {
      case .success(let id): answer(.none, id, context, broker)
      case .failure(let error):
        broker.log.event(.metadataRefused, "no producer ids: \(error)")
        answer(.coordinatorNotAvailable, -1, context, broker)
      }
    }
  }

  private static func answer(
    _ error: ErrorCode, _ producerId: Int64, _ context: RequestContext, _ broker: Broker
  ) {
    broker.replies.answer(
      InitProducerIdResponse(
        errorCode: error, producerId: producerId, producerEpoch: error == .none ? 0 : -1),
      to: context.reply)
  }
}
