//! Everything before the first measurement: tenants, and users with an app each, made the way callers make them.

use std::cell::RefCell;
use std::rc::Rc;

use countersign_api::v1;
use v1::policy_service_client::PolicyServiceClient;

use crate::Trouble;
use crate::calls::{Calls, patient, reason, request_id};
use crate::line::Line;
use crate::population::Population;

/// Creates the tenant.
pub(crate) async fn create_tenant(line: Line, tenant: String, preset: String) -> Result<(), Trouble> {
    let request = v1::CreateTenantRequest {
        tenant_id: tenant,
        preset,
        request_id: request_id(),
        ..v1::CreateTenantRequest::default()
    };
    let created =
        PolicyServiceClient::with_origin(line, Line::origin()).create_tenant(patient(request)).await;
    created.map_err(|status| reason(&status))?;
    Ok(())
}

/// Adds so many users to the population.
pub(crate) async fn enroll(
    calls: &[Calls],
    people: Rc<RefCell<Population>>,
    count: usize,
    in_flight: usize,
) -> Result<(), Trouble> {
    let first = people.borrow().len();
    let numbers = Rc::new(RefCell::new(first..first + count));
    let tenant = people.borrow().tenant.clone();
    let tasks: Vec<_> = (0..in_flight)
        .map(|task| {
            let (mut calls, people) = (calls[task % calls.len()].clone(), Rc::clone(&people));
            let (numbers, tenant) = (Rc::clone(&numbers), tenant.clone());
            tokio::task::spawn_local(async move {
                loop {
                    let Some(number) = numbers.borrow_mut().next() else { return Ok(()) };
                    let id = format!("user-{number}@example.org");
                    let enrolled = calls.enroll(&tenant, &id).await;
                    let (app, step) = enrolled.map_err(|error| error.to_string())?;
                    people.borrow_mut().add(id, app, step);
                }
            })
        })
        .collect();
    for task in tasks {
        let done: Result<(), String> = task.await?;
        done?;
    }
    Ok(())
}
