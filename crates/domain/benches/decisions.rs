//! What deciding costs, without a store and without a network: `cargo bench --bench decisions`. Compare one run with
//! another on the same machine; the whole service is measured by `cargo xtask bench`.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a bench that cannot begin ends")]

#[path = "../tests/common/mod.rs"]
mod common;

use common::World;
use countersign_domain::login::{self, CheckLogin};
use countersign_domain::otp::{self, Algorithm, Digits, OtpCode, Period, TotpKey, TotpParameters, Window};
use countersign_domain::policy::Preset;
use divan::Bencher;

fn main() {
    divan::main();
}

fn check(bencher: Bencher<'_, '_>, world: &World, command: &CheckLogin) {
    let mut source = world.clone();
    bencher
        .with_inputs(|| source.fresh_login())
        .bench_local_refs(|fresh| login::check(&world.state, &world.ctx(), command, fresh));
}

/// A login with the code of the present step.
#[divan::bench]
fn right_code(bencher: Bencher<'_, '_>) {
    let (world, phone) = World::on(Preset::SelfServiceCode);
    let command = world.login_with(phone.code(world.now));
    check(bencher, &world, &command);
}

/// A login with a code that no key shows.
#[divan::bench]
fn wrong_code(bencher: Bencher<'_, '_>) {
    let (mut world, _) = World::on(Preset::SelfServiceCode);
    let wrong = world.wrong();
    let command = world.login_with(wrong);
    check(bencher, &world, &command);
}

/// A login without a code, which opens a challenge.
#[divan::bench]
fn no_code(bencher: Bencher<'_, '_>) {
    let (world, _) = World::on(Preset::SelfServiceCode);
    let command = world.login();
    check(bencher, &world, &command);
}

/// Three steps computed and compared.
#[divan::bench(args = [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512])]
fn window(bencher: Bencher<'_, '_>, algorithm: Algorithm) {
    let key = TotpKey::from_entropy(&[7; TotpKey::GENERATED_LEN]);
    let digits = Digits::from_count(6).unwrap();
    let parameters = TotpParameters { algorithm, digits, period: Period::new(30).unwrap() };
    let code = OtpCode::parse("123456").unwrap();
    bencher.bench_local(|| otp::match_step(&key, parameters, Window::default(), 1_800_000_000, &code));
}
