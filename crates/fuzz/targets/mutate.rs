//! Changes of a conversation that keep it one: whole calls come, go and change places, and single fields of a message change,
//! so that a run is not kept busy with lengths that do not fit. Every other change is libFuzzer's own, of bare bytes.

use countersign_fuzz_targets::requests::conversation::{Call, Conversation, MAX_CALLS, METHODS};
use countersign_testkit::SeededRandom;
use libfuzzer_sys::fuzzer_mutate;
use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage as _, Value};

/// Texts that lead somewhere: what stands for an earlier answer, and what has a shape.
const TEXTS: [&str; 27] = [
    "@code",
    "@sms",
    "@made",
    "@signed",
    "@challenge",
    "@enrollment_id",
    "@enrollment_ticket",
    "@authenticator_id",
    "@token",
    "@codes",
    "@etag",
    "@client_id",
    "@next_page_token",
    "@resume_token",
    "@reset_request_id",
    "acme",
    "globex",
    "ann",
    "bob",
    "ops",
    "ann@example.com",
    "+5511987654321",
    "01890a5d-ac96-774b-bcce-b302099a8057",
    "123456",
    "192.0.2.7",
    "users.view",
    "*",
];

pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let random = SeededRandom::new(seed.into());
    if random.below(4) == 0 {
        return fuzzer_mutate(data, size, max_size);
    }
    let mut conversation = Conversation::read(&data[..size]);
    for _ in 0..=random.below(3) {
        change(&mut conversation, &random);
    }
    let bytes = conversation.write();
    if bytes.len() > max_size || bytes.len() > data.len() {
        return fuzzer_mutate(data, size, max_size);
    }
    data[..bytes.len()].copy_from_slice(&bytes);
    bytes.len()
}

fn index(random: &SeededRandom, len: usize) -> usize {
    usize::try_from(random.below(len as u64)).expect("below a length")
}

fn byte(random: &SeededRandom) -> u8 {
    random.bytes::<1>()[0]
}

fn change(conversation: &mut Conversation, random: &SeededRandom) {
    let calls = &mut conversation.calls;
    if calls.is_empty() || (calls.len() < MAX_CALLS && random.below(12) == 0) {
        let method = byte(random);
        let message = message(METHODS[usize::from(method) % METHODS.len()].input(), random, 0);
        let at = index(random, calls.len() + 1);
        return calls.insert(at, Call { who: 0, method, message: message.encode_to_vec() });
    }
    let at = index(random, calls.len());
    match random.below(16) {
        0 => drop(calls.remove(at)),
        1 => {
            let other = index(random, calls.len());
            calls.swap(at, other);
        }
        2 if calls.len() < MAX_CALLS => calls.insert(at, calls[at].clone()),
        3 => calls[at].who = byte(random),
        4 => calls[at].method = byte(random),
        5 => conversation.preset = byte(random),
        _ => {
            let call = &mut calls[at];
            let input = call.method().input();
            let decoded = DynamicMessage::decode(input.clone(), call.message.as_slice());
            let mut message = decoded.unwrap_or_else(|_| self::message(input, random, 0));
            edit(&mut message, random);
            call.message = message.encode_to_vec();
        }
    }
}

/// Changes one field, at any depth.
fn edit(message: &mut DynamicMessage, random: &SeededRandom) {
    let fields: Vec<_> = message.fields().map(|(field, _)| field).collect();
    let all: Vec<_> = message.descriptor().fields().collect();
    if all.is_empty() {
        return;
    }
    if fields.is_empty() || random.below(4) == 0 {
        let field = &all[index(random, all.len())];
        let value = value(field, random, 0);
        return message.set_field(field, value);
    }
    let field = &fields[index(random, fields.len())];
    if random.below(10) == 0 {
        return message.clear_field(field);
    }
    let mut held = message.get_field(field).into_owned();
    edit_value(&mut held, field, random);
    message.set_field(field, held);
}

fn edit_value(held: &mut Value, field: &FieldDescriptor, random: &SeededRandom) {
    match held {
        Value::Message(inner) => edit(inner, random),
        Value::List(values) => match values.len() {
            len if len > 0 && random.below(2) == 0 => {
                let at = index(random, len);
                edit_value(&mut values[at], field, random);
            }
            len if len > 0 && random.below(4) == 0 => drop(values.remove(index(random, len))),
            _ => values.push(single(field, random, 0)),
        },
        Value::String(text) if random.below(2) == 0 => {
            let mut bytes = text.as_bytes().to_vec();
            let size = bytes.len();
            bytes.resize(size + 64, 0);
            let max = bytes.len();
            let size = fuzzer_mutate(&mut bytes, size, max);
            *text = String::from_utf8_lossy(&bytes[..size]).into_owned();
        }
        _ => *held = if field.is_list() { single(field, random, 0) } else { value(field, random, 0) },
    }
}

/// A message with some of its fields.
fn message(kind: MessageDescriptor, random: &SeededRandom, depth: u8) -> DynamicMessage {
    let mut message = DynamicMessage::new(kind.clone());
    for field in kind.fields() {
        if depth < 4 && random.below(3) != 0 {
            message.set_field(&field, value(&field, random, depth));
        }
    }
    message
}

fn value(field: &FieldDescriptor, random: &SeededRandom, depth: u8) -> Value {
    if field.is_list() {
        return Value::List((0..random.below(4)).map(|_| single(field, random, depth)).collect());
    }
    single(field, random, depth)
}

fn single(field: &FieldDescriptor, random: &SeededRandom, depth: u8) -> Value {
    let number = || match random.below(4) {
        0 => random.below(5),
        1 => 1_768_464_000 + random.below(1_000),
        2 => u64::from(byte(random)),
        _ => random.next(),
    };
    match field.kind() {
        Kind::String => Value::String(TEXTS[index(random, TEXTS.len())].to_owned()),
        Kind::Bytes => Value::Bytes(random.bytes::<16>().to_vec().into()),
        Kind::Bool => Value::Bool(random.below(2) == 0),
        Kind::Enum(_) => Value::EnumNumber(i32::try_from(random.below(9)).expect("below 9")),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(number() as i32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(number() as i64),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(number() as u32),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(number()),
        Kind::Double => Value::F64(number() as f64),
        Kind::Float => Value::F32(number() as f32),
        Kind::Message(kind) => Value::Message(message(kind, random, depth + 1)),
    }
}
