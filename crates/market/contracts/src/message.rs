//! Events that are generated messages.

/// Implements [`prost::Message`] and [`kennel_core::EventType`] for a struct around a message of another crate, which is encoded as
/// the message itself. Its key is the instrument.
macro_rules! message_event {
    ($type:ident, $name:literal, $topic:expr) => {
        impl prost::Message for $type {
            fn encode_raw(&self, buffer: &mut impl prost::bytes::BufMut) {
                self.0.encode_raw(buffer);
            }

            fn merge_field(
                &mut self,
                tag: u32,
                wire_type: prost::encoding::WireType,
                buffer: &mut impl prost::bytes::Buf,
                context: prost::encoding::DecodeContext,
            ) -> Result<(), prost::DecodeError> {
                self.0.merge_field(tag, wire_type, buffer, context)
            }

            fn encoded_len(&self) -> usize {
                self.0.encoded_len()
            }

            fn clear(&mut self) {
                self.0.clear();
            }
        }

        impl kennel_core::EventType for $type {
            const NAME: &'static str = $name;
            const TOPIC: &'static str = $topic;

            type Codec = kennel_core::codec::Protobuf;

            fn key(&self) -> String {
                format!("{}:{}", self.0.venue, self.0.symbol)
            }
        }
    };
}
pub(crate) use message_event;
